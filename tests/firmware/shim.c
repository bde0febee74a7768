/* The driver of one build as a shared library. */
#include "spikeloom.h"

struct spikeloom shim_device;

static struct spikeloom_serial serial;
static struct spikeloom_mapped mapped;

const struct spikeloom_build *shim_build(void);
void shim_serial(const struct spikeloom_line *line, uint32_t patience, uint8_t attempts);
void shim_mapped(const struct spikeloom_bus *bus);
uint32_t shim_retries(void);

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
