/* Requests to registers in a processor's address space.
 *
 * A write to such a register has no status. So this file looks whether there is room before it
 * writes, and whether the device has taken a sample afterwards. */
#include "spikeloom_driver.h"

/* The input buffer holds two samples: with fewer under way there is room for one. */
enum { ROOM = 2 };

uint32_t spikeloom_memory_read(void *user, uint16_t addr)
{
    return ((const volatile uint32_t *)user)[addr];
}

void spikeloom_memory_write(void *user, uint16_t addr, uint32_t word)
{
    ((volatile uint32_t *)user)[addr] = word;
}

static uint32_t read(const struct spikeloom_mapped *mapped, uint16_t addr)
{
    return mapped->bus.read(mapped->bus.user, addr);
}

static void write(const struct spikeloom_mapped *mapped, uint16_t addr, uint32_t word)
{
    mapped->bus.write(mapped->bus.user, addr, word);
}

static uint16_t under_way(const struct spikeloom_mapped *mapped)
{
    uint32_t submitted = read(mapped, mapped->build->at.submitted);

    return (uint16_t)(submitted - read(mapped, mapped->build->at.completed));
}

static bool is_owner(const struct spikeloom_mapped *mapped)
{
    return read(mapped, mapped->build->at.session) == mapped->link.session;
}

static void read_words(const struct spikeloom_mapped *mapped, uint16_t addr, uint8_t count,
                       struct spikeloom_request *request)
{
    for (uint8_t k = 0; k < count; k++)
        request->answer[k] = read(mapped, (uint16_t)(addr + k));
    request->answered = count;
}

static void write_words(const struct spikeloom_mapped *mapped,
                        const struct spikeloom_request *request, uint8_t count)
{
    for (uint8_t k = 0; k < count; k++)
        write(mapped, (uint16_t)(request->addr + k), request->words[k]);
}

/* The result of the sample before `number`, as far as an answer holds it. */
static void read_before(const struct spikeloom_mapped *mapped, struct spikeloom_request *request)
{
    uint16_t slot = (uint16_t)(request->number - 1) % SPIKELOOM_SLOTS;
    uint16_t words = spikeloom_result_words(mapped->build);

    read_words(mapped, (uint16_t)(mapped->build->at.result + slot * mapped->build->at.stride),
               (uint8_t)(words < SPIKELOOM_MAX_WORDS ? words : SPIKELOOM_MAX_WORDS), request);
}

/* Whether a register can be written now; others than those named always can. */
static bool is_free(const struct spikeloom_mapped *mapped, uint16_t addr)
{
    if (addr == mapped->build->at.timesteps || (addr != 0 && addr == mapped->build->at.load))
        return under_way(mapped) == 0;
    return addr < mapped->build->at.input || under_way(mapped) < ROOM;
}

static enum spikeloom_status exchange(const struct spikeloom_mapped *mapped,
                                      struct spikeloom_request *request)
{
    write_words(mapped, request, (uint8_t)(request->count - 1));
    write(mapped, (uint16_t)(request->addr + request->count - 1), request->number);
    if (read(mapped, mapped->build->at.submitted) != request->number)
        return SPIKELOOM_STATUS_ORDER;
    read_before(mapped, request);
    return SPIKELOOM_STATUS_OK;
}

static enum spikeloom_status execute(const struct spikeloom_mapped *mapped,
                                     struct spikeloom_request *request)
{
    if (request->op == SPIKELOOM_OP_READ)
        read_words(mapped, request->addr, request->count, request);
    else if (!is_free(mapped, request->addr))
        return SPIKELOOM_STATUS_BUSY;
    else if (request->op == SPIKELOOM_OP_EXCHANGE)
        return exchange(mapped, request);
    else
        write_words(mapped, request, request->count);
    return SPIKELOOM_STATUS_OK;
}

/* The session counts from where only its owner may read and write, and once it is opened. */
static bool is_owned(const struct spikeloom_mapped *mapped, uint16_t addr)
{
    const struct spikeloom_build *build = mapped->build;

    return addr == build->at.timesteps || addr >= build->at.input ||
           (build->at.block != 0 && addr >= build->at.block && addr != build->at.open);
}

static enum spikeloom_error mapped_request(struct spikeloom_link *link,
                                           struct spikeloom_request *request)
{
    const struct spikeloom_mapped *mapped = (const struct spikeloom_mapped *)link;

    const bool owned = is_owned(mapped, request->addr);

    request->answered = 0;
    request->status = SPIKELOOM_STATUS_SESSION;
    if (owned && !is_owner(mapped))
        return SPIKELOOM_OK;
    request->status = execute(mapped, request);
    /* Another host may have come meanwhile. */
    if (owned && !is_owner(mapped))
        request->status = SPIKELOOM_STATUS_SESSION;
    return SPIKELOOM_OK;
}

void spikeloom_mapped_init(struct spikeloom_mapped *mapped, const struct spikeloom_build *build,
                           const struct spikeloom_bus *bus)
{
    mapped->link.request = mapped_request;
    mapped->link.milliseconds = bus->milliseconds;
    mapped->link.user = bus->user;
    mapped->link.session = 0;
    mapped->bus = *bus;
    mapped->build = build;
}
