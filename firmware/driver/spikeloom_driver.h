/* The driver of a device that Spikeloom has built: a session, samples, results.
 *
 * ISO C99 for freestanding programs: no heap, no operating system, no floating point. Every buffer
 * is the caller's. A program includes `spikeloom.h` of its build, which includes this file and
 * describes the device as `spikeloom_build`. docs/firmware.md has an example.
 */
#ifndef SPIKELOOM_DRIVER_H
#define SPIKELOOM_DRIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SPIKELOOM_PROTOCOL 3u        /* version of frames and registers */
#define SPIKELOOM_MAGIC 0x4c4b5053u  /* "SPKL" */
#define SPIKELOOM_SLOTS 4u           /* samples without a result, at most */
#define SPIKELOOM_MAX_WORDS 60u      /* of a request or an answer */

enum spikeloom_error {
    SPIKELOOM_OK,
    /* Nothing went wrong, but it can't be done now. The session stays open. */
    SPIKELOOM_PENDING,
    SPIKELOOM_BUSY,
    SPIKELOOM_EMPTY,
    SPIKELOOM_TIMEOUT,
    /* The arguments are wrong. The session stays open. */
    SPIKELOOM_RANGE,
    /* There is no session. `spikeloom_open` opens one. */
    SPIKELOOM_CLOSED,
    /* The session is over, because it is not known what the device has. */
    SPIKELOOM_CUT,
    SPIKELOOM_SILENT,
    SPIKELOOM_NOISY,
    SPIKELOOM_STRANGER,
    SPIKELOOM_VERSION,
    SPIKELOOM_OTHER_BUILD,
    SPIKELOOM_OTHER_NETWORK,
    SPIKELOOM_DAMAGED,
    SPIKELOOM_FAILED,
    SPIKELOOM_IMAGE,
    SPIKELOOM_TAKEN,
    SPIKELOOM_RESET,
    SPIKELOOM_REFUSED
};

/* What an error means, and what to do about it: one line. */
const char *spikeloom_text(enum spikeloom_error error);

/* A memory of the device that may be loaded. */
struct spikeloom_memory {
    const char *name; /* in the image */
    uint32_t width;   /* bits of a row */
    uint32_t depth;   /* rows */
};

/* A device, as its build describes it. `spikeloom.h` has one. */
struct spikeloom_build {
    uint32_t digest[8]; /* as the device has it in its registers */
    uint32_t baud; /* 0 of a device without a serial line */
    struct {
        uint16_t magic, digest, submitted, completed, session;
        uint16_t timesteps, open, input, result, stride;
        uint16_t selftest, health, holds, block, load, check;
    } at; /* addresses of registers; 0 of what the device does not have */
    uint16_t input_words;
    uint16_t logits;
    uint8_t logit_words;
    uint8_t quiet_words;
    uint16_t timesteps; /* of the longest run */
    struct {
        uint32_t channels, height, width;
        uint32_t levels;    /* the greatest count */
        uint64_t pixel_max; /* its pixel */
        uint16_t word;      /* channels in a beat */
        uint8_t bits;       /* of a count */
        bool continues;     /* whether a sample is a block of a sequence */
    } input;
    uint16_t positions; /* of the read-out, each of which has logits for all classes */
    uint32_t network[8]; /* digest of the network that memories have to hold */
    const struct spikeloom_memory *memories; /* those that may be loaded, by their numbers */
    uint8_t memory_count;
};

/* The way to a device. */

enum spikeloom_op { SPIKELOOM_OP_READ = 1, SPIKELOOM_OP_WRITE = 2, SPIKELOOM_OP_EXCHANGE = 3 };

enum spikeloom_status {
    SPIKELOOM_STATUS_OK,
    SPIKELOOM_STATUS_UNKNOWN,
    SPIKELOOM_STATUS_RANGE,
    SPIKELOOM_STATUS_BUSY,
    SPIKELOOM_STATUS_ORDER,
    SPIKELOOM_STATUS_SESSION,
    SPIKELOOM_STATUS_INCOMPLETE,
    SPIKELOOM_STATUS_DAMAGED
};

/* A request to registers, and its answer (docs/link.md). */
struct spikeloom_request {
    enum spikeloom_op op;
    uint16_t addr;
    uint8_t count;         /* words that are read or written, 1 to SPIKELOOM_MAX_WORDS */
    const uint32_t *words; /* written; of an exchange all but the last */
    uint16_t number;       /* the last word of an exchange */
    uint32_t *answer;      /* words that were read; an exchange needs SPIKELOOM_MAX_WORDS */
    uint8_t answered;      /* their number */
    enum spikeloom_status status;
};

/* What carries requests: a serial line, or a bus. */
struct spikeloom_link {
    enum spikeloom_error (*request)(struct spikeloom_link *link, struct spikeloom_request *request);
    uint32_t (*milliseconds)(void *user); /* a clock that goes on and wraps around */
    void *user;
    uint32_t session;
};

/* A serial line. None of the functions waits. */
struct spikeloom_line {
    bool (*put)(void *user, uint8_t byte);  /* send a byte; false if there is no room for it now */
    int (*get)(void *user);                 /* the next byte that has arrived, or -1 */
    uint32_t (*milliseconds)(void *user);
    void *user;
};

#define SPIKELOOM_FRAME_HEADER 9u
#define SPIKELOOM_FRAME_BYTES (SPIKELOOM_FRAME_HEADER + 4u * SPIKELOOM_MAX_WORDS + 4u)

/* Requests in frames on a serial line that may lose bytes. What has no answer is sent again. */
struct spikeloom_serial {
    struct spikeloom_link link;
    struct spikeloom_line line;
    uint32_t patience; /* milliseconds to wait beyond what the bytes take, 500 unless changed */
    uint8_t attempts;  /* to send a request, 10 unless changed */
    uint32_t retries;  /* requests that had to be sent again */
    uint32_t transit;  /* milliseconds that the longest frame takes */
    uint32_t began;    /* when the frame that is sent or awaited began */
    uint32_t crc;      /* of what has been sent of a frame */
    uint8_t seq;
    bool heard; /* whether this attempt has made a byte arrive */
    bool escaped, damaged;
    uint16_t length; /* bytes of the frame that arrives */
    uint8_t frame[SPIKELOOM_FRAME_BYTES];
};

void spikeloom_serial_init(struct spikeloom_serial *serial, const struct spikeloom_build *build,
                           const struct spikeloom_line *line);

/* Registers in a processor's address space, a 32-bit word each. */
struct spikeloom_bus {
    uint32_t (*read)(void *user, uint16_t addr);
    void (*write)(void *user, uint16_t addr, uint32_t word);
    uint32_t (*milliseconds)(void *user);
    void *user;
};

/* Requests to such registers. A bus loses nothing, so nothing is sent again. */
struct spikeloom_mapped {
    struct spikeloom_link link;
    struct spikeloom_bus bus;
    const struct spikeloom_build *build;
};

void spikeloom_mapped_init(struct spikeloom_mapped *mapped, const struct spikeloom_build *build,
                           const struct spikeloom_bus *bus);

/* Functions of a bus whose `user` is the address of the first register. */
uint32_t spikeloom_memory_read(void *user, uint16_t addr);
void spikeloom_memory_write(void *user, uint16_t addr, uint32_t word);

/* A device. */

struct spikeloom {
    const struct spikeloom_build *build;
    struct spikeloom_link *link;
    bool opened;
    uint16_t submitted; /* number of the last sample */
    uint16_t landed;    /* number of the last sample whose result was read */
    uint16_t timesteps; /* of the samples to come */
    uint16_t chosen;    /* those that this session has set in the device, or 0 */
    uint8_t carried;    /* words of the next result that came with an answer, or 0 */
    uint32_t answer[SPIKELOOM_MAX_WORDS];
};

void spikeloom_init(struct spikeloom *device, const struct spikeloom_build *build,
                    struct spikeloom_link *link);

#define SPIKELOOM_SETTLING 1000u /* milliseconds */

/* Make sure that the device holds the build, that its memories are intact and of the network, and
 * that it has passed its test of itself, as far as there are any; and take it over. `session` is a
 * random number that is not 0: the device tells hosts apart by it. Results of samples before are
 * lost. SPIKELOOM_BUSY if such samples, or the test, still run after SPIKELOOM_SETTLING: open it
 * again. */
enum spikeloom_error spikeloom_open(struct spikeloom *device, uint32_t session);

/* Load the memories from an image, and wait up to so many milliseconds until the device has
 * compared them: a hundred are plenty. Until then the device takes no samples. The image is
 * `memory.img` of the build that `spikeloom.h` is of, or SPIKELOOM_IMAGE is the answer. Afterwards
 * no session is open. SPIKELOOM_DAMAGED if a memory is not what was sent: load it again. */
enum spikeloom_error spikeloom_load(struct spikeloom *device, uint32_t session,
                                    const uint8_t *image, size_t size, uint32_t limit);

/* Choose after how many time-steps samples end, 1 to `build->timesteps`; without it they run as
 * long as they can. SPIKELOOM_RANGE if there are not so many. */
enum spikeloom_error spikeloom_choose(struct spikeloom *device, uint16_t timesteps);

/* Send a sample of `build->input_words` words. SPIKELOOM_BUSY if there is no room for it yet: read
 * a result, and send the same sample again. With no more than one result due there is room, except
 * while time-steps change. */
enum spikeloom_error spikeloom_submit(struct spikeloom *device, const uint32_t *words);

/* Samples whose results have not been read. */
uint16_t spikeloom_due(const struct spikeloom *device);

/* Read the next result, `spikeloom_result_words` words. SPIKELOOM_PENDING if the device has not
 * completed the sample yet, SPIKELOOM_EMPTY if no result is due. Results come in the order of the
 * samples. */
enum spikeloom_error spikeloom_poll(struct spikeloom *device, uint32_t *result);

/* Wait for the next result. SPIKELOOM_TIMEOUT if the device takes longer than so many milliseconds;
 * the sample is still under way then. */
enum spikeloom_error spikeloom_wait(struct spikeloom *device, uint32_t *result, uint32_t limit);

/* Take over a device that holds the build, whatever its memories hold: for `spikeloom_load`. */
enum spikeloom_error spikeloom_take(struct spikeloom *device, uint32_t session);

/* CRC-32 as in zlib, a byte further; it begins with UINT32_MAX, and is inverted at the end. */
uint32_t spikeloom_crc_next(uint32_t crc, uint8_t byte);

/* Send a request of one's own and judge its answer: a code of the above. */
enum spikeloom_error spikeloom_request(struct spikeloom *device, struct spikeloom_request *request);

/* Results. */

/* Words of a result. */
uint16_t spikeloom_result_words(const struct spikeloom_build *build);

/* Clocks from a sample's first input beat to its last logits. */
uint32_t spikeloom_clocks(const uint32_t *result);

/* A logit; those of a position lie beside each other, positions in raster order. */
int64_t spikeloom_logit(const struct spikeloom_build *build, const uint32_t *result,
                        uint16_t index);

/* The class with the greatest logit at a position, the lowest if there are several. */
uint16_t spikeloom_class(const struct spikeloom_build *build, const uint32_t *result,
                         uint16_t position);

/* Whether a layer that comes to rest was quiet when the sample ended. */
bool spikeloom_quiet(const struct spikeloom_build *build, const uint32_t *result, uint8_t layer);

/* Samples. */

/* Clear the words of a sample. `begins`: if samples are blocks, whether this one begins a
 * sequence. */
void spikeloom_clear(const struct spikeloom_build *build, uint32_t *words, bool begins);

/* Put a pixel into a cleared sample. `index` is its place in the input map, by channel, row and
 * column. SPIKELOOM_RANGE if there is no such place, or the pixel is greater than `pixel_max`. */
enum spikeloom_error spikeloom_put(const struct spikeloom_build *build, uint32_t *words,
                                   uint32_t index, uint32_t pixel);

/* A sample of raw pixels, all that the input map has; otherwise as the two functions above. */
enum spikeloom_error spikeloom_pack(const struct spikeloom_build *build, uint32_t *words,
                                    const uint8_t *pixels, bool begins);

#endif
