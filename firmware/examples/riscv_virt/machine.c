/* QEMU's machine "virt": a 16550, a timer, and a way out by semihosting. */
#include "machine.h"

#define UART ((volatile uint8_t *)0x10000000)
#define TIMER ((volatile uint32_t *)0x0200bff8) /* of 10 MHz, the lower half first */

enum { DATA = 0, FIFO_CONTROL = 2, LINE_STATUS = 5 };

enum { FIFO_ENABLED = 1, DATA_READY = 1 << 0, TRANSMITTER_EMPTY = 1 << 5 };

enum { SYS_WRITE0 = 0x04, SYS_EXIT_EXTENDED = 0x20, APPLICATION_EXIT = 0x20026 };

long semihost(long operation, const void *argument);
void *memset(void *memory, int byte, size_t size);
void *memcpy(void *restrict to, const void *restrict from, size_t size);

/* Compilers may call these two, even without a library. They would take a plain loop for one of
 * them; `volatile` keeps it a loop. */
void *memset(void *memory, int byte, size_t size)
{
    volatile unsigned char *next = memory;

    while (size-- > 0)
        *next++ = (unsigned char)byte;
    return memory;
}

void *memcpy(void *restrict to, const void *restrict from, size_t size)
{
    volatile unsigned char *next = to;
    const unsigned char *byte = from;

    while (size-- > 0)
        *next++ = *byte++;
    return to;
}

static bool put(void *user, uint8_t byte)
{
    (void)user;
    if (!(UART[LINE_STATUS] & TRANSMITTER_EMPTY))
        return false;
    UART[DATA] = byte;
    return true;
}

static int get(void *user)
{
    (void)user;
    return UART[LINE_STATUS] & DATA_READY ? UART[DATA] : -1;
}

static uint32_t milliseconds(void *user)
{
    uint32_t low, high;

    (void)user;
    do {
        high = TIMER[1];
        low = TIMER[0];
    } while (TIMER[1] != high);
    return (uint32_t)(((uint64_t)high << 32 | low) / 10000);
}

const struct spikeloom_line machine_line = {put, get, milliseconds, NULL};

void set_up(void)
{
    UART[FIFO_CONTROL] = FIFO_ENABLED;
}

void print(const char *text)
{
    semihost(SYS_WRITE0, text);
}

void leave(int status)
{
    const long block[2] = {APPLICATION_EXIT, status};

    semihost(SYS_EXIT_EXTENDED, block);
}
