/* Sessions, samples and results, over any link. */
#include "spikeloom_driver.h"

void spikeloom_init(struct spikeloom *device, const struct spikeloom_build *build,
                    struct spikeloom_link *link)
{
    device->build = build;
    device->link = link;
    device->opened = false;
    device->submitted = 0;
    device->landed = 0;
    device->timesteps = build->timesteps;
    device->chosen = 0;
    device->carried = 0;
}

/* Whoever is not the owner of a session any more has lost it, by a reset or to another host. */
static enum spikeloom_error lost(struct spikeloom *device)
{
    uint32_t session = 0;
    struct spikeloom_request request = {
        .op = SPIKELOOM_OP_READ,
        .addr = device->build->at.session,
        .count = 1,
        .answer = &session,
    };
    enum spikeloom_error error = device->link->request(device->link, &request);

    if (error != SPIKELOOM_OK)
        return error;
    return session == 0 || session == device->link->session ? SPIKELOOM_RESET : SPIKELOOM_TAKEN;
}

enum spikeloom_error spikeloom_request(struct spikeloom *device, struct spikeloom_request *request)
{
    enum spikeloom_error error = device->link->request(device->link, request);

    if (error == SPIKELOOM_OK && request->status == SPIKELOOM_STATUS_BUSY)
        return SPIKELOOM_BUSY;
    if (error == SPIKELOOM_OK && request->status == SPIKELOOM_STATUS_SESSION)
        error = lost(device);
    else if (error == SPIKELOOM_OK && request->status != SPIKELOOM_STATUS_OK)
        error = request->status == SPIKELOOM_STATUS_DAMAGED ? SPIKELOOM_DAMAGED : SPIKELOOM_REFUSED;
    if (error != SPIKELOOM_OK)
        device->opened = false;
    return error;
}

static enum spikeloom_error read_words(struct spikeloom *device, uint16_t addr, uint32_t *words,
                                       uint16_t count)
{
    for (uint16_t start = 0; start < count; start = (uint16_t)(start + SPIKELOOM_MAX_WORDS)) {
        uint16_t left = (uint16_t)(count - start);
        struct spikeloom_request request = {
            .op = SPIKELOOM_OP_READ,
            .addr = (uint16_t)(addr + start),
            .count = (uint8_t)(left < SPIKELOOM_MAX_WORDS ? left : SPIKELOOM_MAX_WORDS),
            .answer = words + start,
        };
        enum spikeloom_error error = spikeloom_request(device, &request);
        if (error != SPIKELOOM_OK)
            return error;
    }
    return SPIKELOOM_OK;
}

static enum spikeloom_error write_word(struct spikeloom *device, uint16_t addr, uint32_t word)
{
    struct spikeloom_request request = {
        .op = SPIKELOOM_OP_WRITE,
        .addr = addr,
        .count = 1,
        .words = &word,
    };

    return spikeloom_request(device, &request);
}

static enum spikeloom_error identify(struct spikeloom *device)
{
    uint32_t words[8];
    enum spikeloom_error error = read_words(device, device->build->at.magic, words, 2);

    if (error != SPIKELOOM_OK)
        return error;
    if (words[0] != SPIKELOOM_MAGIC)
        return SPIKELOOM_STRANGER;
    if (words[1] != SPIKELOOM_PROTOCOL)
        return SPIKELOOM_VERSION;
    error = read_words(device, device->build->at.digest, words, 8);
    for (uint8_t k = 0; error == SPIKELOOM_OK && k < 8; k++)
        if (words[k] != device->build->digest[k])
            return SPIKELOOM_OTHER_BUILD;
    return error;
}

/* Samples of the session before may still be under way. Nobody can submit others now. */
static enum spikeloom_error settle(struct spikeloom *device)
{
    struct spikeloom_link *link = device->link;
    uint32_t start = link->milliseconds(link->user), submitted = 0, completed = 0;
    enum spikeloom_error error = read_words(device, device->build->at.submitted, &submitted, 1);

    do {
        if (error == SPIKELOOM_OK)
            error = read_words(device, device->build->at.completed, &completed, 1);
        if (error != SPIKELOOM_OK)
            return error;
        if (submitted == completed) {
            device->submitted = device->landed = (uint16_t)submitted;
            return SPIKELOOM_OK;
        }
    } while (link->milliseconds(link->user) - start <= SPIKELOOM_SETTLING);
    return SPIKELOOM_BUSY;
}

/* Whether memories that may be loaded are intact, and of the network. */
static enum spikeloom_error check_memories(struct spikeloom *device)
{
    enum { INTACT = 1 };
    uint32_t words[8];
    enum spikeloom_error error = read_words(device, device->build->at.health, words, 1);

    if (error != SPIKELOOM_OK)
        return error;
    if (!(words[0] & INTACT))
        return SPIKELOOM_DAMAGED;
    error = read_words(device, device->build->at.holds, words, 8);
    for (uint8_t k = 0; error == SPIKELOOM_OK && k < 8; k++)
        if (words[k] != device->build->network[k])
            return SPIKELOOM_OTHER_NETWORK;
    return error;
}

/* Whether the device has passed its test of itself, which it may still be doing. */
static enum spikeloom_error check_selftest(struct spikeloom *device)
{
    enum { RUNS = 1, FAILED = 4 };
    struct spikeloom_link *link = device->link;
    uint32_t start = link->milliseconds(link->user), state = 0;

    do {
        enum spikeloom_error error = read_words(device, device->build->at.selftest, &state, 1);
        if (error != SPIKELOOM_OK)
            return error;
        if (state & FAILED)
            return SPIKELOOM_FAILED;
        if (!(state & RUNS))
            return SPIKELOOM_OK;
    } while (link->milliseconds(link->user) - start <= SPIKELOOM_SETTLING);
    return SPIKELOOM_BUSY;
}

enum spikeloom_error spikeloom_open(struct spikeloom *device, uint32_t session)
{
    enum spikeloom_error error = spikeloom_take(device, session);

    if (error == SPIKELOOM_OK && device->build->at.health != 0)
        error = check_memories(device);
    if (error == SPIKELOOM_OK && device->build->at.selftest != 0)
        error = check_selftest(device);
    device->opened = error == SPIKELOOM_OK;
    return error;
}

enum spikeloom_error spikeloom_take(struct spikeloom *device, uint32_t session)
{
    enum spikeloom_error error;

    if (session == 0)
        return SPIKELOOM_RANGE;
    device->opened = false;
    device->link->session = session;
    error = identify(device);
    if (error == SPIKELOOM_OK)
        error = write_word(device, device->build->at.open, session);
    if (error == SPIKELOOM_OK)
        error = settle(device);
    if (error != SPIKELOOM_OK)
        return error;
    device->chosen = 0;
    device->opened = true;
    return SPIKELOOM_OK;
}

enum spikeloom_error spikeloom_choose(struct spikeloom *device, uint16_t timesteps)
{
    if (timesteps == 0 || timesteps > device->build->timesteps)
        return SPIKELOOM_RANGE;
    device->timesteps = timesteps;
    return SPIKELOOM_OK;
}

/* The device knows the time-steps of a run before its sample. It takes them between runs only. */
static enum spikeloom_error set_timesteps(struct spikeloom *device)
{
    enum spikeloom_error error = SPIKELOOM_OK;

    if (device->build->timesteps > 1 && device->chosen != device->timesteps)
        error = write_word(device, device->build->at.timesteps, device->timesteps);
    if (error == SPIKELOOM_OK)
        device->chosen = device->timesteps;
    return error;
}

uint16_t spikeloom_due(const struct spikeloom *device)
{
    return (uint16_t)(device->submitted - device->landed);
}

/* Whether a sample is completed if `last` is the number of the last completed one. */
static bool is_completed(uint32_t last, uint16_t number)
{
    return (uint16_t)(last - number) < SPIKELOOM_SLOTS;
}

/* Keep what the answer to a sample has of the result before, if that is the next to be read. */
static void keep(struct spikeloom *device, const struct spikeloom_request *request)
{
    uint16_t before = (uint16_t)(device->submitted - 1);
    uint16_t next = (uint16_t)(device->landed + 1);

    if (before == next && is_completed(device->answer[0], before) &&
        request->answered <= spikeloom_result_words(device->build))
        device->carried = request->answered;
}

/* The words of a sample in frames, the last of which is an exchange with the sample's number. */
static enum spikeloom_error send_sample(struct spikeloom *device, const uint32_t *words,
                                        struct spikeloom_request *last)
{
    struct spikeloom_request part = {
        .op = SPIKELOOM_OP_WRITE,
        .addr = device->build->at.input,
        .count = SPIKELOOM_MAX_WORDS,
        .words = words,
    };
    uint16_t left = device->build->input_words;

    for (; left >= SPIKELOOM_MAX_WORDS; left = (uint16_t)(left - SPIKELOOM_MAX_WORDS)) {
        enum spikeloom_error error = spikeloom_request(device, &part);
        if (error != SPIKELOOM_OK)
            return error;
        part.addr = (uint16_t)(part.addr + SPIKELOOM_MAX_WORDS);
        part.words += SPIKELOOM_MAX_WORDS;
    }
    last->op = SPIKELOOM_OP_EXCHANGE;
    last->addr = part.addr;
    last->count = (uint8_t)(left + 1);
    last->words = part.words;
    return spikeloom_request(device, last);
}

enum spikeloom_error spikeloom_submit(struct spikeloom *device, const uint32_t *words)
{
    struct spikeloom_request last = {
        .number = (uint16_t)(device->submitted + 1),
        .answer = device->answer,
    };
    enum spikeloom_error error;

    if (!device->opened)
        return SPIKELOOM_CLOSED;
    if (spikeloom_due(device) == SPIKELOOM_SLOTS)
        return SPIKELOOM_BUSY;
    device->carried = 0;
    error = set_timesteps(device);
    if (error == SPIKELOOM_OK)
        error = send_sample(device, words, &last);
    if (error != SPIKELOOM_OK)
        return error;
    device->submitted = last.number;
    keep(device, &last);
    return SPIKELOOM_OK;
}

enum spikeloom_error spikeloom_poll(struct spikeloom *device, uint32_t *result)
{
    uint16_t words = spikeloom_result_words(device->build), count = device->carried;
    uint16_t number = (uint16_t)(device->landed + 1);
    uint16_t slot = (uint16_t)(device->build->at.result +
                               number % SPIKELOOM_SLOTS * device->build->at.stride);
    enum spikeloom_error error = SPIKELOOM_OK;

    if (!device->opened)
        return SPIKELOOM_CLOSED;
    if (spikeloom_due(device) == 0)
        return SPIKELOOM_EMPTY;
    for (uint16_t k = 0; k < count; k++)
        result[k] = device->answer[k];
    if (count == 0) {
        count = words < SPIKELOOM_MAX_WORDS ? words : SPIKELOOM_MAX_WORDS;
        error = read_words(device, slot, result, count);
        if (error == SPIKELOOM_OK && !is_completed(result[0], number))
            return SPIKELOOM_PENDING;
    }
    if (error == SPIKELOOM_OK)
        error = read_words(device, (uint16_t)(slot + count), result + count,
                           (uint16_t)(words - count));
    if (error != SPIKELOOM_OK)
        return error;
    device->landed = number;
    device->carried = 0;
    return SPIKELOOM_OK;
}

enum spikeloom_error spikeloom_wait(struct spikeloom *device, uint32_t *result, uint32_t limit)
{
    struct spikeloom_link *link = device->link;
    uint32_t start = link->milliseconds(link->user);
    enum spikeloom_error error;

    while ((error = spikeloom_poll(device, result)) == SPIKELOOM_PENDING)
        if (link->milliseconds(link->user) - start > limit)
            return SPIKELOOM_TIMEOUT;
    return error;
}

uint16_t spikeloom_result_words(const struct spikeloom_build *build)
{
    return (uint16_t)(2 + build->logits * build->logit_words + build->quiet_words);
}

uint32_t spikeloom_clocks(const uint32_t *result)
{
    return result[1];
}

/* A pattern of bits as a number in two's complement, whatever the compiler does with casts. */
static int64_t as_signed(uint64_t bits)
{
    return bits >> 63 ? -(int64_t)~bits - 1 : (int64_t)bits;
}

int64_t spikeloom_logit(const struct spikeloom_build *build, const uint32_t *result, uint16_t index)
{
    const uint32_t *word = result + 2 + index * build->logit_words;
    uint64_t sign = word[0] >> 31 ? UINT64_MAX << 32 : 0;

    return as_signed(word[0] | (build->logit_words == 2 ? (uint64_t)word[1] << 32 : sign));
}

uint16_t spikeloom_class(const struct spikeloom_build *build, const uint32_t *result,
                         uint16_t position)
{
    uint16_t classes = (uint16_t)(build->logits / build->positions), best = 0;
    uint16_t first = (uint16_t)(position * classes);
    int64_t most = spikeloom_logit(build, result, first);

    for (uint16_t k = 1; k < classes; k++) {
        int64_t logit = spikeloom_logit(build, result, (uint16_t)(first + k));
        if (logit > most) {
            most = logit;
            best = k;
        }
    }
    return best;
}

bool spikeloom_quiet(const struct spikeloom_build *build, const uint32_t *result, uint8_t layer)
{
    const uint32_t *bits = result + 2 + build->logits * build->logit_words;

    return bits[layer / 32] >> layer % 32 & 1;
}
