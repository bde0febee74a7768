/* Pixels to the words of a sample, as host/manifest.py packs them. */
#include "spikeloom_driver.h"

/* A beat has the counts of `word` channels at one place, and of a block one bit more. A word holds
 * as many whole beats as fit, or a beat takes several words; the first is in the lowest bits. */
static uint32_t beat_bits(const struct spikeloom_build *build)
{
    return (uint32_t)build->input.word * build->input.bits + build->input.continues;
}

/* Place a value of `bits` bits at a bit of a beat. */
static void place(const struct spikeloom_build *build, uint32_t *words, uint32_t beat, uint32_t bit,
                  uint32_t value, uint32_t bits)
{
    uint32_t size = beat_bits(build), shift;

    if (size <= 32) {
        words += beat / (32 / size);
        bit += beat % (32 / size) * size;
    } else {
        words += beat * ((size + 31) / 32);
    }
    words += bit / 32;
    shift = bit % 32;
    words[0] |= value << shift;
    if (shift + bits > 32)
        words[1] |= value >> (32 - shift);
}

/* The pixel's share of the levels, rounded: the greatest count whose double is at most
 * `(2 pixel levels + pixel_max) / pixel_max`. It is found bit by bit, since a processor may be slow
 * to divide, and 64 bits need a library. */
static uint32_t count_of(const struct spikeloom_build *build, uint32_t pixel)
{
    uint64_t levels = build->input.levels, most = build->input.pixel_max;
    uint64_t target = UINT64_C(2) * pixel * levels + most, count = 0;

    for (uint64_t bit = UINT64_C(1) << (build->input.bits - 1); bit != 0; bit >>= 1)
        if ((count | bit) <= levels && 2 * most * (count | bit) <= target)
            count |= bit;
    return (uint32_t)count;
}

void spikeloom_clear(const struct spikeloom_build *build, uint32_t *words, bool begins)
{
    for (uint16_t k = 0; k < build->input_words; k++)
        words[k] = 0;
    if (build->input.continues)
        place(build, words, 0, beat_bits(build) - 1, begins, 1);
}

enum spikeloom_error spikeloom_put(const struct spikeloom_build *build, uint32_t *words,
                                   uint32_t index, uint32_t pixel)
{
    uint32_t places = build->input.height * build->input.width;
    uint32_t channel = index / places, word = build->input.word;
    uint32_t chunks = (build->input.channels + word - 1) / word;

    if (channel >= build->input.channels || pixel > build->input.pixel_max)
        return SPIKELOOM_RANGE;
    place(build, words, index % places * chunks + channel / word,
          channel % word * build->input.bits, count_of(build, pixel), build->input.bits);
    return SPIKELOOM_OK;
}

enum spikeloom_error spikeloom_pack(const struct spikeloom_build *build, uint32_t *words,
                                    const uint8_t *pixels, bool begins)
{
    uint32_t count = build->input.channels * build->input.height * build->input.width;

    spikeloom_clear(build, words, begins);
    for (uint32_t k = 0; k < count; k++) {
        enum spikeloom_error error = spikeloom_put(build, words, k, pixels[k]);
        if (error != SPIKELOOM_OK)
            return error;
    }
    return SPIKELOOM_OK;
}
