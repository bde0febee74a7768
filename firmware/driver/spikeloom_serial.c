/* Requests in frames on a serial line: SLIP (RFC 1055), CRC-32, and another attempt for what has no
 * answer. A repeated request does no harm (docs/link.md). */
#include "spikeloom_driver.h"

enum { END = 0xc0, ESC = 0xdb, ESC_END = 0xdc, ESC_ESC = 0xdd };

enum { HEADER = SPIKELOOM_FRAME_HEADER, CRC = 4, ANSWER = 0x80 };

/* CRC-32 as in zlib, four bits at a time. */
uint32_t spikeloom_crc_next(uint32_t crc, uint8_t byte)
{
    static const uint32_t table[16] = {
        0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4,
        0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
        0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
    };

    crc = crc >> 4 ^ table[(crc ^ byte) & 15];
    return crc >> 4 ^ table[(crc ^ (uint32_t)byte >> 4) & 15];
}

static uint32_t now(const struct spikeloom_serial *serial)
{
    return serial->line.milliseconds(serial->line.user);
}

/* Whether the frame that is sent or awaited takes longer than any should. */
static bool is_late(const struct spikeloom_serial *serial)
{
    return now(serial) - serial->began > serial->transit + serial->patience;
}

/* Sending. */

static bool send(struct spikeloom_serial *serial, uint8_t byte)
{
    while (!serial->line.put(serial->line.user, byte))
        if (is_late(serial))
            return false;
    return true;
}

static bool send_escaped(struct spikeloom_serial *serial, uint8_t byte)
{
    serial->crc = spikeloom_crc_next(serial->crc, byte);
    if (byte != END && byte != ESC)
        return send(serial, byte);
    return send(serial, ESC) && send(serial, byte == END ? ESC_END : ESC_ESC);
}

/* The lowest bytes of a word, the lowest first. */
static bool send_bytes(struct spikeloom_serial *serial, uint32_t word, uint8_t count)
{
    bool sent = true;

    for (; sent && count > 0; count--, word >>= 8)
        sent = send_escaped(serial, (uint8_t)(word & 0xff));
    return sent;
}

static bool send_data(struct spikeloom_serial *serial, const struct spikeloom_request *request)
{
    bool exchange = request->op == SPIKELOOM_OP_EXCHANGE, sent = true;
    uint8_t count = (uint8_t)(request->count - exchange);

    if (request->op == SPIKELOOM_OP_READ)
        return true;
    for (uint8_t k = 0; sent && k < count; k++)
        sent = send_bytes(serial, request->words[k], 4);
    return sent && (!exchange || send_bytes(serial, request->number, 4));
}

/* The END before a frame ends any garbage. */
static bool send_frame(struct spikeloom_serial *serial, const struct spikeloom_request *request)
{
    serial->began = now(serial);
    serial->crc = UINT32_MAX;
    return send(serial, END) && send_bytes(serial, serial->seq, 1) &&
           send_bytes(serial, (uint32_t)request->op, 1) && send_bytes(serial, request->addr, 2) &&
           send_bytes(serial, request->count, 1) && send_bytes(serial, serial->link.session, 4) &&
           send_data(serial, request) && send_bytes(serial, ~serial->crc, 4) && send(serial, END);
}

/* Receiving. */

static uint32_t word_at(const struct spikeloom_serial *serial, uint16_t at)
{
    const uint8_t *byte = serial->frame + at;

    return byte[0] | (uint32_t)byte[1] << 8 | (uint32_t)byte[2] << 16 | (uint32_t)byte[3] << 24;
}

static void begin_frame(struct spikeloom_serial *serial)
{
    serial->length = 0;
    serial->escaped = serial->damaged = false;
}

static void store(struct spikeloom_serial *serial, uint8_t byte)
{
    if (serial->escaped) {
        serial->escaped = false;
        serial->damaged |= byte != ESC_END && byte != ESC_ESC;
        byte = byte == ESC_END ? END : ESC;
    } else if (byte == ESC) {
        serial->escaped = true;
        return;
    }
    if (serial->length == SPIKELOOM_FRAME_BYTES)
        serial->damaged = true;
    else
        serial->frame[serial->length++] = byte;
}

static bool is_whole(const struct spikeloom_serial *serial)
{
    uint16_t body = (uint16_t)(serial->length - CRC);
    uint32_t crc = UINT32_MAX;

    if (serial->damaged || serial->escaped || serial->length < HEADER + CRC ||
        serial->length % 4 != (HEADER + CRC) % 4)
        return false;
    for (uint16_t k = 0; k < body; k++)
        crc = spikeloom_crc_next(crc, serial->frame[k]);
    return word_at(serial, body) == ~crc;
}

/* Whether the frame that has arrived answers this attempt of a request. */
static bool is_answer(const struct spikeloom_serial *serial,
                      const struct spikeloom_request *request)
{
    const uint8_t *frame = serial->frame;
    unsigned words, status;

    if (!is_whole(serial) || frame[0] != serial->seq ||
        (frame[1] & 0x8f) != (ANSWER | (unsigned)request->op) ||
        (frame[2] | (unsigned)frame[3] << 8) != request->addr || frame[4] != request->count ||
        word_at(serial, 5) != serial->link.session)
        return false;
    words = (serial->length - (unsigned)(HEADER + CRC)) / 4;
    status = frame[1] >> 4 & 7;
    if (status != SPIKELOOM_STATUS_OK || request->op == SPIKELOOM_OP_WRITE)
        return words == 0;
    return request->op == SPIKELOOM_OP_READ ? words == request->count : words > 0;
}

static void take(const struct spikeloom_serial *serial, struct spikeloom_request *request)
{
    request->status = (enum spikeloom_status)(serial->frame[1] >> 4 & 7);
    request->answered = (uint8_t)((serial->length - (unsigned)(HEADER + CRC)) / 4);
    for (uint8_t k = 0; k < request->answered; k++)
        request->answer[k] = word_at(serial, (uint16_t)(HEADER + 4 * k));
}

/* Whether the answer has arrived in time. */
static bool receive(struct spikeloom_serial *serial, struct spikeloom_request *request)
{
    serial->began = now(serial);
    while (!is_late(serial)) {
        int byte = serial->line.get(serial->line.user);
        if (byte < 0)
            continue;
        serial->heard = true;
        if (byte != END) {
            store(serial, (uint8_t)byte);
            continue;
        }
        if (is_answer(serial, request)) {
            take(serial, request);
            begin_frame(serial);
            return true;
        }
        begin_frame(serial);
    }
    return false;
}

static enum spikeloom_error serial_request(struct spikeloom_link *link,
                                           struct spikeloom_request *request)
{
    struct spikeloom_serial *serial = (struct spikeloom_serial *)link;

    for (uint8_t attempt = 0; attempt < serial->attempts; attempt++) {
        serial->seq++;
        serial->heard = false;
        serial->retries += attempt > 0;
        if (!send_frame(serial, request))
            return SPIKELOOM_CUT;
        if (receive(serial, request))
            return SPIKELOOM_OK;
    }
    return serial->heard ? SPIKELOOM_NOISY : SPIKELOOM_SILENT;
}

void spikeloom_serial_init(struct spikeloom_serial *serial, const struct spikeloom_build *build,
                           const struct spikeloom_line *line)
{
    /* Start and stop bits make ten of eight, and every byte may be escaped. */
    uint32_t bits = 10 * 2 * (SPIKELOOM_FRAME_BYTES + 1);

    serial->link.request = serial_request;
    serial->link.milliseconds = line->milliseconds;
    serial->link.user = line->user;
    serial->link.session = 0;
    serial->line = *line;
    serial->patience = 500;
    serial->attempts = 10;
    serial->retries = 0;
    serial->transit = 1000 * bits / build->baud + 1;
    serial->began = 0;
    serial->crc = 0;
    serial->seq = 0;
    serial->heard = false;
    begin_frame(serial);
}
