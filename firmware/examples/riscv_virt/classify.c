/* Classify images that are part of the program, and print their classes, one a line.
 *
 * `images.h` has them: `images`, an array of SPIKELOOM_PIXELS bytes each. */
#include "images.h"
#include "machine.h"
#include "spikeloom.h"

enum { COUNT = sizeof images / sizeof images[0], LIMIT = 10000 };

static struct spikeloom_serial serial;
static struct spikeloom device;

static void print_number(unsigned number)
{
    char digits[12] = {0};
    size_t first = sizeof digits - 2;

    digits[first] = '\n';
    do {
        digits[--first] = (char)('0' + number % 10);
        number /= 10;
    } while (number != 0);
    print(digits + first);
}

static enum spikeloom_error classify(const uint8_t *pixels)
{
    static uint32_t sample[SPIKELOOM_INPUT_WORDS], result[SPIKELOOM_RESULT_WORDS];
    enum spikeloom_error error = spikeloom_pack(&spikeloom_build, sample, pixels, true);

    if (error == SPIKELOOM_OK)
        error = spikeloom_submit(&device, sample);
    if (error == SPIKELOOM_OK)
        error = spikeloom_wait(&device, result, LIMIT);
    if (error == SPIKELOOM_OK)
        print_number(spikeloom_class(&spikeloom_build, result, 0));
    return error;
}

int main(void)
{
    enum spikeloom_error error;

    set_up();
    spikeloom_serial_init(&serial, &spikeloom_build, &machine_line);
    serial.patience = 5000; /* a simulated board is slow */
    spikeloom_init(&device, &spikeloom_build, &serial.link);
    error = spikeloom_open(&device, machine_line.milliseconds(NULL) | 1);
    for (unsigned k = 0; error == SPIKELOOM_OK && k < COUNT; k++)
        error = classify(images[k]);
    if (error != SPIKELOOM_OK) {
        print(spikeloom_text(error));
        print("\n");
    }
    return error != SPIKELOOM_OK;
}
