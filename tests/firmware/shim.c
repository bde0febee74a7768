/* The driver of one build as a shared library. */
#include "spikeloom.h"

struct spikeloom shim_device;

static struct spikeloom_serial serial;
static struct spikeloom_mapped mapped;

const struct spikeloom_build *shim_build(void);
void shim_serial(const struct spikeloom_line *line, uint32_t patience, uint8_t attempts);
void shim_mapped(const struct spikeloom_bus *bus);
uint32_t shim_retries(void);
const struct spikeloom_build *shim_layout(const uint32_t map[3], uint32_t levels,
                                          uint64_t pixel_max, uint16_t word, uint8_t bits,
                                          bool continues, uint16_t input_words);

const struct spikeloom_build *shim_build(void)
{
    return &spikeloom_build;
}

void shim_serial(const struct spikeloom_line *line, uint32_t patience, uint8_t attempts)
{
    spikeloom_serial_init(&serial, &spikeloom_build, line);
    serial.patience = patience;
    serial.attempts = attempts;
    spikeloom_init(&shim_device, &spikeloom_build, &serial.link);
}

void shim_mapped(const struct spikeloom_bus *bus)
{
    spikeloom_mapped_init(&mapped, &spikeloom_build, bus);
    spikeloom_init(&shim_device, &spikeloom_build, &mapped.link);
}

uint32_t shim_retries(void)
{
    return serial.retries;
}

/* A device with an input of its own, for packing. */
const struct spikeloom_build *shim_layout(const uint32_t map[3], uint32_t levels,
                                          uint64_t pixel_max, uint16_t word, uint8_t bits,
                                          bool continues, uint16_t input_words)
{
    static struct spikeloom_build build;

    build.input.channels = map[0];
    build.input.height = map[1];
    build.input.width = map[2];
    build.input.levels = levels;
    build.input.pixel_max = pixel_max;
    build.input.word = word;
    build.input.bits = bits;
    build.input.continues = continues;
    build.input_words = input_words;
    return &build;
}
