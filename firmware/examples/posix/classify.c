/* Classify images at a serial port: `classify PORT [BLOCKS] < IMAGES`.
 *
 * IMAGES are raw pixels, a byte each, by channel, row and column, one image after the other. A line
 * of output has the class of an image and its logits. For a device that takes sequences, images are
 * blocks, and after so many BLOCKS another sequence begins. */
#define _DEFAULT_SOURCE

#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "spikeloom.h"

static bool put(void *user, uint8_t byte)
{
    return write(*(int *)user, &byte, 1) == 1;
}

/* With nothing to read, wait for a millisecond, so that waiting costs no processor time. */
static int get(void *user)
{
    struct pollfd event = {.fd = *(int *)user, .events = POLLIN};
    uint8_t byte;

    if (read(event.fd, &byte, 1) == 1)
        return byte;
    poll(&event, 1, 1);
    return -1;
}

static uint32_t milliseconds(void *user)
{
    struct timespec now;

    (void)user;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint32_t)now.tv_sec * 1000u + (uint32_t)(now.tv_nsec / 1000000);
}

static int open_port(const char *path)
{
    struct termios mode;
    int port = open(path, O_RDWR | O_NOCTTY | O_NONBLOCK);

    if (port < 0 || tcgetattr(port, &mode) != 0)
        return -1;
    mode.c_iflag = 0;
    mode.c_oflag = 0;
    mode.c_lflag = 0;
    mode.c_cflag = CS8 | CREAD | CLOCAL;
    cfsetspeed(&mode, spikeloom_build.baud);
    return tcsetattr(port, TCSANOW, &mode) == 0 ? port : -1;
}

static enum spikeloom_error show(struct spikeloom *device)
{
    uint32_t result[SPIKELOOM_RESULT_WORDS];
    enum spikeloom_error error = spikeloom_wait(device, result, 10000);

    if (error != SPIKELOOM_OK)
        return error;
    printf("%u", (unsigned)spikeloom_class(&spikeloom_build, result, SPIKELOOM_POSITIONS - 1));
    for (uint16_t k = 0; k < SPIKELOOM_LOGITS; k++)
        printf(" %" PRId64, spikeloom_logit(&spikeloom_build, result, k));
    printf("\n");
    fflush(stdout);
    return SPIKELOOM_OK;
}

/* While the device computes an image, the next one is sent. */
static enum spikeloom_error classify(struct spikeloom *device, unsigned long blocks)
{
    uint8_t pixels[SPIKELOOM_PIXELS];
    uint32_t sample[SPIKELOOM_INPUT_WORDS];
    enum spikeloom_error error = SPIKELOOM_OK;
    unsigned long count = 0;

    while (error == SPIKELOOM_OK && fread(pixels, sizeof pixels, 1, stdin) == 1) {
        error = spikeloom_pack(&spikeloom_build, sample, pixels, count++ % blocks == 0);
        if (error == SPIKELOOM_OK && spikeloom_due(device) == 2)
            error = show(device);
        if (error == SPIKELOOM_OK)
            error = spikeloom_submit(device, sample);
    }
    while (error == SPIKELOOM_OK && spikeloom_due(device) > 0)
        error = show(device);
    return error;
}

/* A session that nobody else has. */
static uint32_t draw(void)
{
    return (milliseconds(NULL) ^ (uint32_t)getpid() << 16) | 1;
}

int main(int argc, char **argv)
{
    unsigned long blocks = argc == 3 ? strtoul(argv[2], NULL, 10) : 1;
    struct spikeloom_serial serial;
    struct spikeloom device;
    enum spikeloom_error error;
    int port;
    struct spikeloom_line line = {put, get, milliseconds, &port};

    if (argc < 2 || argc > 3 || blocks == 0) {
        fprintf(stderr, "usage: %s PORT [BLOCKS] < IMAGES\n", argv[0]);
        return 2;
    }
    port = open_port(argv[1]);
    if (port < 0) {
        perror(argv[1]);
        return 1;
    }
    spikeloom_serial_init(&serial, &spikeloom_build, &line);
    spikeloom_init(&device, &spikeloom_build, &serial.link);
    error = spikeloom_open(&device, draw());
    if (error == SPIKELOOM_OK)
        error = classify(&device, blocks);
    if (error != SPIKELOOM_OK)
        fprintf(stderr, "%s: %s\n", argv[1], spikeloom_text(error));
    close(port);
    return error != SPIKELOOM_OK;
}
