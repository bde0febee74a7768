/* Whatever a device answers, the driver stays within its memory (libFuzzer).
 *
 * The input decides what the caller does and what comes back. Bytes alone would never have the right
 * CRC, so it mostly makes frames: those of an honest device, or those with a header, a status or a
 * number of words of its own. Everything lies in memory of its own, of just the size that it needs.
 * With STOP_AT_RESULT it stops at the first result, and with STOP_AT_LOAD at the first image that was
 * loaded, to show that the input gets so far. */
#include <stdlib.h>
#include <string.h>

#include "spikeloom.h"

enum { HEADER = SPIKELOOM_FRAME_HEADER, LONGEST = 300, CALLS = 40, LARGEST = 2048 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t *input;
static size_t left;

static uint8_t request[LONGEST], answer[2 * LONGEST + 8]; /* without escapes; with escapes */
static size_t requested, answered, sent;
static uint16_t submitted;
static uint32_t looks;

static uint8_t next(void)
{
    return left > 0 ? (left--, *input++) : 0;
}

static uint32_t next_word(void)
{
    uint32_t word = next();

    word |= (uint32_t)next() << 8;
    word |= (uint32_t)next() << 16;
    return word | (uint32_t)next() << 24;
}

static uint32_t milliseconds(void *user)
{
    (void)user;
    return looks++ / 64;
}

/* What an honest device has at an address. */
static uint32_t honest(uint32_t addr)
{
    if (addr == spikeloom_build.at.magic)
        return SPIKELOOM_MAGIC;
    if (addr == spikeloom_build.at.magic + 1u)
        return SPIKELOOM_PROTOCOL;
    if (addr - spikeloom_build.at.digest < 8)
        return spikeloom_build.digest[addr - spikeloom_build.at.digest];
    if (addr == spikeloom_build.at.health)
        return 1;
    if (addr - spikeloom_build.at.holds < 8)
        return spikeloom_build.network[addr - spikeloom_build.at.holds];
    if (addr == spikeloom_build.at.submitted || addr == spikeloom_build.at.completed)
        return submitted;
    if (addr >= spikeloom_build.at.result && addr % spikeloom_build.at.stride == 0)
        return submitted;
    return next_word();
}

/* The serial line: frames. */

static uint32_t crc_of(const uint8_t *bytes, size_t count)
{
    uint32_t crc = UINT32_MAX;

    while (count-- > 0) {
        crc ^= *bytes++;
        for (int k = 0; k < 8; k++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
    return ~crc;
}

static void append_word(uint8_t *frame, size_t *length, uint32_t word)
{
    for (int k = 0; k < 4; k++)
        frame[(*length)++] = (uint8_t)(word >> 8 * k);
}

static void encode(const uint8_t *frame, size_t length)
{
    answered = sent = 0;
    answer[answered++] = 0xc0;
    for (size_t k = 0; k < length; k++) {
        bool special = frame[k] == 0xc0 || frame[k] == 0xdb;
        if (special)
            answer[answered++] = 0xdb;
        answer[answered++] = (uint8_t)(!special ? frame[k] : frame[k] == 0xc0 ? 0xdc : 0xdd);
    }
    answer[answered++] = 0xc0;
}

/* Words of the answer to the last request, if the device is honest. */
static size_t words_of_answer(void)
{
    size_t most = spikeloom_result_words(&spikeloom_build);

    if (request[1] == SPIKELOOM_OP_WRITE)
        return 0;
    return request[1] == SPIKELOOM_OP_READ  ? request[4]
           : most < SPIKELOOM_MAX_WORDS ? most
                                            : SPIKELOOM_MAX_WORDS;
}

static void make_answer(uint8_t kind)
{
    uint8_t frame[LONGEST];
    size_t length = HEADER, words = words_of_answer();
    uint32_t addr = request[2] | (uint32_t)request[3] << 8;
    bool exchange = request[1] == SPIKELOOM_OP_EXCHANGE;

    memcpy(frame, request, HEADER);
    frame[1] |= 0x80;
    if (exchange) {
        addr = spikeloom_build.at.result;
        submitted = (uint16_t)(request[requested - 8] | request[requested - 7] << 8);
    }
    if (kind == 2) { /* any status, any number of words */
        frame[1] = (uint8_t)(frame[1] | next() << 4);
        words = next() % 70;
    }
    for (size_t k = 0; k < words; k++)
        append_word(frame, &length, kind == 2 ? next_word() : honest(addr + (uint32_t)k));
    if (kind == 3) /* another header, or another word */
        frame[next() % length] ^= next();
    append_word(frame, &length, crc_of(frame, length));
    if (kind == 4) /* damaged */
        frame[next() % length] ^= next();
    encode(frame, length);
}

static bool put(void *user, uint8_t byte)
{
    static bool escaped, over = true;

    (void)user;
    if (byte == 0xc0) {
        over = true;
        return true;
    }
    if (over) {
        over = escaped = false;
        requested = 0;
    }
    if (byte == 0xdb) {
        escaped = true;
        return true;
    }
    if (requested < LONGEST)
        request[requested++] = (uint8_t)(!escaped ? byte : byte == 0xdc ? 0xc0 : 0xdb);
    escaped = false;
    return true;
}

static int get(void *user)
{
    uint8_t kind;

    (void)user;
    if (sent < answered)
        return answer[sent++];
    if (left == 0)
        return -1;
    kind = next() & 15;
    if (kind == 0)
        return -1;
    if (kind == 1)
        return next();
    make_answer(kind);
    return answer[sent++];
}

/* Registers: those of an honest device, or any. */

static uint32_t session;

static uint32_t read_register(void *user, uint16_t addr)
{
    (void)user;
    if ((next() & 7) == 7)
        return next_word();
    return addr == spikeloom_build.at.session ? session : honest(addr);
}

static void write_register(void *user, uint16_t addr, uint32_t word)
{
    (void)user;
    if (addr == spikeloom_build.at.open)
        session = word;
    if (addr == spikeloom_build.at.input + spikeloom_build.input_words)
        submitted = (uint16_t)word;
}

/* The caller. */

static void read_result(const uint32_t *result)
{
    for (uint16_t k = 0; k < SPIKELOOM_LOGITS; k++)
        (void)spikeloom_logit(&spikeloom_build, result, k);
    for (uint8_t k = 0; k < SPIKELOOM_QUIET_LAYERS; k++)
        (void)spikeloom_quiet(&spikeloom_build, result, k);
    for (uint16_t k = 0; k < SPIKELOOM_POSITIONS; k++)
        if (spikeloom_class(&spikeloom_build, result, k) >= SPIKELOOM_CLASSES)
            abort();
#ifdef STOP_AT_RESULT
    abort();
#endif
}

/* An image with the memories of the build, of which the input changes some bytes or cuts the end
 * off. Its CRC is right, or else nothing of it would be read. */

static void append(uint8_t *image, size_t *length, const void *bytes, size_t count)
{
    memcpy(image + *length, bytes, count);
    *length += count;
}

static void append_memory(uint8_t *image, size_t *length, const char *name, uint32_t width,
                          uint32_t depth)
{
    uint32_t bytes = (width + 7) / 8 * depth;

    image[(*length)++] = (uint8_t)strlen(name);
    append(image, length, name, strlen(name));
    append_word(image, length, width);
    append_word(image, length, depth);
    for (uint32_t k = 0; k < bytes; k++)
        image[(*length)++] = (uint8_t)(37 * k);
}

static size_t make_image(uint8_t *image)
{
    static const uint8_t magic[] = {'S', 'P', 'K', 'L', 'I', 'M', 'G', 0, 1, 0};
    const struct spikeloom_build *build = &spikeloom_build;
    size_t length = 0, holds;

    append(image, &length, magic, sizeof magic);
    image[length++] = (uint8_t)(build->memory_count + 1);
    image[length++] = 0;
    for (int k = 0; k < 8; k++)
        append_word(image, &length, build->digest[k]);
    for (int k = 0; k < build->memory_count; k++)
        append_memory(image, &length, build->memories[k].name, build->memories[k].width,
                      build->memories[k].depth);
    append_memory(image, &length, "holds", 256, 1);
    holds = length - 32;
    for (uint8_t k = 0; k < 32; k++)
        image[holds + k] = (uint8_t)(build->network[7 - k / 4] >> 8 * (3 - k % 4));
    for (int changes = next() & 3; changes > 0; changes--) {
        size_t place = next() | (size_t)next() << 8;
        image[place % length] ^= next();
    }
    if ((next() & 7) == 7)
        length = next_word() % length;
    append_word(image, &length, crc_of(image, length));
    return length;
}

static void load(struct spikeloom *device)
{
    static uint8_t made[LARGEST];
    size_t size = make_image(made);
    uint8_t *image = malloc(size);
    enum spikeloom_error error;

    if (image == NULL)
        abort();
    memcpy(image, made, size);
    error = spikeloom_load(device, next(), image, size, 2);
    free(image);
#ifdef STOP_AT_LOAD
    if (error == SPIKELOOM_OK)
        abort();
#else
    (void)error;
#endif
}

static void call(struct spikeloom *device, uint32_t *words, uint32_t *result)
{
    enum spikeloom_error error = SPIKELOOM_EMPTY;

    switch (next() & 7) {
    case 0:
        (void)spikeloom_open(device, next());
        break;
    case 1:
        (void)spikeloom_choose(device, next());
        break;
    case 2:
        (void)spikeloom_put(&spikeloom_build, words, next_word() >> (next() & 31), next_word());
        break;
    case 3:
        spikeloom_clear(&spikeloom_build, words, next() & 1);
        break;
    case 4:
    case 5:
        (void)spikeloom_submit(device, words);
        break;
    case 6:
        error = spikeloom_poll(device, result);
        break;
    default:
        error = spikeloom_wait(device, result, 2);
    }
    if (error == SPIKELOOM_OK)
        read_result(result);
    if (spikeloom_due(device) > SPIKELOOM_SLOTS)
        abort();
}

static void use(struct spikeloom_link *link, bool loads)
{
    struct spikeloom *device = malloc(sizeof *device);
    uint32_t *words = calloc(SPIKELOOM_INPUT_WORDS, sizeof *words);
    uint32_t *result = malloc(SPIKELOOM_RESULT_WORDS * sizeof *result);

    if (device == NULL || words == NULL || result == NULL)
        abort();
    spikeloom_init(device, &spikeloom_build, link);
    if (loads) {
        load(device);
        load(device);
    }
    (void)spikeloom_open(device, 1);
    for (int k = 0; k < CALLS && left > 0; k++)
        call(device, words, result);
    free(result);
    free(words);
    free(device);
}

static void use_serial(bool loads)
{
    const struct spikeloom_line line = {put, get, milliseconds, NULL};
    struct spikeloom_serial *serial = malloc(sizeof *serial);

    if (serial == NULL)
        abort();
    spikeloom_serial_init(serial, &spikeloom_build, &line);
    serial->attempts = 2;
    serial->patience = 10;
    use(&serial->link, loads);
    free(serial);
}

static void use_mapped(bool loads)
{
    const struct spikeloom_bus bus = {read_register, write_register, milliseconds, NULL};
    struct spikeloom_mapped *mapped = malloc(sizeof *mapped);

    if (mapped == NULL)
        abort();
    spikeloom_mapped_init(mapped, &spikeloom_build, &bus);
    use(&mapped->link, loads);
    free(mapped);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input = data;
    left = size;
    requested = answered = sent = 0;
    submitted = 0;
    looks = 0;
    uint8_t first = next();
    bool loads = first & 4;

    if ((first & 3) == 0)
        use_mapped(loads);
    else
        use_serial(loads);
    return 0;
}
