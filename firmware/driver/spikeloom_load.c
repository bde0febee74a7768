/* Loading the memories of a device: the weights and thresholds of a network, from a memory image
 * (`memory.img` of a build with --reloadable) that lies in the program's memory. */
#include "spikeloom_driver.h"

enum { MAGIC = 8, COUNT = 10, DIGEST = 12, MEMORIES = 44, CRC = 4, HOLDS = 32, HEAD = 2 };

enum { INTACT = 1, DAMAGED = 8 };

/* A memory in an image. */
struct found {
    const uint8_t *rows;
    uint32_t width, depth;
};

static uint32_t word_at(const uint8_t *byte)
{
    return byte[0] | (uint32_t)byte[1] << 8 | (uint32_t)byte[2] << 16 | (uint32_t)byte[3] << 24;
}

static uint32_t crc_of(const uint8_t *bytes, size_t size)
{
    uint32_t crc = UINT32_MAX;

    for (size_t k = 0; k < size; k++)
        crc = spikeloom_crc_next(crc, bytes[k]);
    return ~crc;
}

static bool is_image(const struct spikeloom_build *build, const uint8_t *image, size_t size)
{
    static const uint8_t magic[COUNT] = {'S', 'P', 'K', 'L', 'I', 'M', 'G', 0, 1, 0};

    if (size < MEMORIES + CRC || word_at(image + size - CRC) != crc_of(image, size - CRC))
        return false;
    for (uint8_t k = 0; k < COUNT; k++)
        if (image[k] != magic[k])
            return false;
    for (uint8_t k = 0; k < 8; k++)
        if (word_at(image + DIGEST + 4 * k) != build->digest[k])
            return false;
    return true;
}

static bool is_named(const uint8_t *name, uint8_t length, const char *wanted)
{
    for (uint8_t k = 0; k < length; k++)
        if (wanted[k] == '\0' || name[k] != (uint8_t)wanted[k])
            return false;
    return wanted[length] == '\0';
}

static uint32_t row_bytes(uint32_t width)
{
    return width / 8 + (width % 8 != 0);
}

/* Find a memory by its name. What an image says of lengths is not believed. */
static bool find(const uint8_t *image, size_t size, const char *name, struct found *found)
{
    size_t at = MEMORIES, end = size - CRC;

    while (at < end) {
        uint8_t length = image[at];
        const uint8_t *own = image + at + 1;
        size_t left = end - at - 1;
        uint32_t bytes;
        if (left < (size_t)length + 8)
            return false;
        found->width = word_at(own + length);
        found->depth = word_at(own + length + 4);
        found->rows = own + length + 8;
        left -= (size_t)length + 8;
        bytes = row_bytes(found->width);
        if (bytes == 0 || found->depth > left / bytes)
            return false;
        if (is_named(own, length, name))
            return true;
        at = end - left + (size_t)bytes * found->depth;
    }
    return false;
}

/* A word of a row, the lowest first; beyond the row there are zeros. */
static uint32_t row_word(const struct found *memory, uint32_t row, uint32_t column)
{
    uint32_t bytes = row_bytes(memory->width), word = 0;
    const uint8_t *own = memory->rows + (size_t)bytes * row;

    for (uint32_t k = 0; k < 4 && 4 * column + k < bytes; k++)
        word |= (uint32_t)own[4 * column + k] << 8 * k;
    return word;
}

static enum spikeloom_error write_words(struct spikeloom *device, uint16_t addr,
                                        const uint32_t *words, uint8_t count)
{
    struct spikeloom_request request = {
        .op = SPIKELOOM_OP_WRITE,
        .addr = addr,
        .count = count,
        .words = words,
    };

    return spikeloom_request(device, &request);
}

/* A block that is filled word by word, and sent when it is full. The answer to requests has no
 * other use while memories are loaded, so its place is that of the block. */
struct block {
    struct spikeloom *device;
    uint8_t count;
    uint32_t crc;
};

static enum spikeloom_error flush(struct block *block)
{
    uint8_t count = block->count;

    block->count = 0;
    return count <= HEAD ? SPIKELOOM_OK : write_words(
        block->device, block->device->build->at.block, block->device->answer, count);
}

static enum spikeloom_error append(struct block *block, uint8_t memory, uint32_t row,
                                   uint32_t column, uint32_t word)
{
    uint32_t *words = block->device->answer;

    if (block->count == 0) {
        words[0] = (uint32_t)memory << 24 | row;
        words[1] = column;
        block->count = HEAD;
    }
    words[block->count++] = word;
    for (uint8_t k = 0; k < 4; k++)
        block->crc = spikeloom_crc_next(block->crc, (uint8_t)(word >> 8 * k & 0xff));
    return block->count < SPIKELOOM_MAX_WORDS ? SPIKELOOM_OK : flush(block);
}

/* Send a memory. `crc` becomes that of its words. */
static enum spikeloom_error send_memory(struct spikeloom *device, uint8_t number,
                                        const struct found *memory, uint32_t *crc)
{
    struct block block = {.device = device, .crc = UINT32_MAX};
    uint32_t columns = memory->width / 32 + (memory->width % 32 != 0);
    enum spikeloom_error error = SPIKELOOM_OK;

    for (uint32_t row = 0; row < memory->depth; row++)
        for (uint32_t column = 0; error == SPIKELOOM_OK && column < columns; column++)
            error = append(&block, number, row, column, row_word(memory, row, column));
    *crc = ~block.crc;
    return error == SPIKELOOM_OK ? flush(&block) : error;
}

/* Send a memory of the image, and the CRC that it should have. */
static enum spikeloom_error send_named(struct spikeloom *device, uint8_t number,
                                       const uint8_t *image, size_t size)
{
    const struct spikeloom_build *build = device->build;
    const struct spikeloom_memory *wanted = build->memories + number;
    struct found memory;
    uint32_t words[HEAD + 1] = {(uint32_t)build->memory_count << 24 | number, 0, 0};
    enum spikeloom_error error;

    if (!find(image, size, wanted->name, &memory) || memory.width != wanted->width ||
        memory.depth != wanted->depth)
        return SPIKELOOM_IMAGE;
    error = send_memory(device, number, &memory, words + HEAD);
    return error == SPIKELOOM_OK ? write_words(device, build->at.block, words, HEAD + 1) : error;
}

/* Wait until the device has compared all memories. */
static enum spikeloom_error compared(struct spikeloom *device, uint32_t limit)
{
    struct spikeloom_link *link = device->link;
    uint32_t start = link->milliseconds(link->user), health = 0;
    struct spikeloom_request request = {
        .op = SPIKELOOM_OP_READ,
        .addr = device->build->at.health,
        .count = 1,
        .answer = &health,
    };

    do {
        enum spikeloom_error error = spikeloom_request(device, &request);
        if (error != SPIKELOOM_OK)
            return error;
        if (health & DAMAGED)
            return SPIKELOOM_DAMAGED;
        if (health & INTACT)
            return SPIKELOOM_OK;
    } while (link->milliseconds(link->user) - start <= limit);
    return SPIKELOOM_TIMEOUT;
}

enum spikeloom_error spikeloom_load(struct spikeloom *device, uint32_t session,
                                    const uint8_t *image, size_t size, uint32_t limit)
{
    const struct spikeloom_build *build = device->build;
    const uint32_t one = 1;
    struct found holds;
    enum spikeloom_error error;

    if (build->memory_count == 0)
        return SPIKELOOM_RANGE;
    if (!is_image(build, image, size) || !find(image, size, "holds", &holds) ||
        holds.width != 8 * HOLDS || holds.depth != 1)
        return SPIKELOOM_IMAGE;
    for (uint8_t k = 0; k < HOLDS; k++) /* the row is a number, the digest its digits */
        if (holds.rows[k] != (build->network[7 - k / 4] >> 8 * (3 - k % 4) & 0xff))
            return SPIKELOOM_IMAGE;
    error = spikeloom_take(device, session);
    if (error == SPIKELOOM_OK)
        error = write_words(device, build->at.load, &one, 1);
    for (uint8_t k = 0; error == SPIKELOOM_OK && k < build->memory_count; k++)
        error = send_named(device, k, image, size);
    if (error == SPIKELOOM_OK)
        error = write_words(device, build->at.holds, build->network, 8);
    if (error == SPIKELOOM_OK)
        error = write_words(device, build->at.check, &one, 1);
    if (error == SPIKELOOM_OK)
        error = compared(device, limit);
    device->opened = false;
    return error;
}
