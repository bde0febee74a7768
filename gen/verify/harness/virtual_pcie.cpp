// A board on this machine: the Verilated top level behind a small root complex. BAR0 and the host's memory
// are files that a driver maps.
//
// Arguments: bytes of memory, its bus address, bytes a clock that the link carries, the process to end with,
// if that is not the one that started it, and +beats=FILE, if the board records beats. The first line on standard output has the paths of both files
// and the bus address. Ends with that process, or by a signal.
//
// A mapped file tells nobody that it is accessed. What a driver has written to BAR0 is found by comparing it with
// what was there before, and sent as a memory write; what it reads was read from the endpoint a little earlier.
// Registers have no side effects, so both are the same as an access. The word `open` is compared first and sent
// last, because whoever writes it has written all the others before. The last two words, which the endpoint does not
// have, are the clocks from the last write to BAR0 to the endpoint's last write to memory.
#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <vector>
#include "Vtop.h"
#include "registers.h"

namespace {

using Packet = std::vector<uint32_t>;

constexpr unsigned AWAKE = 200'000;  // clocks without a packet after which the board dozes: from then
constexpr unsigned STRETCH = 2'000;  // on it runs for a stretch, then waits for a write, in turn
constexpr int NAP_US = 5'000, GLANCE_US = 100;
constexpr unsigned REFRESH = 2'000;  // clocks from one reading of the registers to the next
constexpr unsigned LATENCY = 100;    // clocks from a read of memory to its answer
constexpr unsigned FRAMING = 8;      // bytes of the link around a packet: STP, sequence number, LCRC, END
constexpr uint32_t BAR = 0xfe000000, HOST = 0x0008, ENDPOINT = 0x0100;
constexpr unsigned BAR_BYTES = 4096, BOUNDARY = 64, PAYLOAD = 128;

[[noreturn]] void fail(const char *what) {
    std::perror(what);
    std::exit(1);
}

uint32_t swap(uint32_t word) { return __builtin_bswap32(word); }

// A file without a name, which is gone with this process.
class Mapped {
public:
    Mapped(const char *name, size_t bytes) : file(memfd_create(name, 0)) {
        if (file < 0 || ftruncate(file, static_cast<off_t>(bytes))) fail(name);
        void *map = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        if (map == MAP_FAILED) fail(name);
        words = static_cast<std::atomic<uint32_t> *>(map);
    }

    int file;
    std::atomic<uint32_t> *words;
};

// One direction of the link: a packet takes as long as its bytes.
class Wire {
public:
    explicit Wire(unsigned rate) : rate(rate) {}
    bool free(uint64_t clock) const { return clock >= until; }
    void take(uint64_t clock, size_t dwords) {
        until = std::max(until, clock) + (4 * dwords + FRAMING + rate - 1) / rate;
    }

private:
    unsigned rate;
    uint64_t until = 0;
};

class Root {
public:
    Root(Vtop &top, size_t bytes, uint64_t base, unsigned rate)
        : top(top), bytes(bytes), base(base), down(rate), up(rate), bar("bar0", BAR_BYTES),
          memory("memory", bytes), shadow(BAR_BYTES / 4) {
        top.id = ENDPOINT;
        top.bus_master = 1;
        top.max_payload = 0;
        top.max_read = 2;
    }

    bool idle() const { return quiet > AWAKE; }

    // Inputs of the endpoint for the coming edge.
    void drive() {
        if (clock % REFRESH == 0) refresh();
        if (clock % 16 == 0) look();
        if (beat == 0) next();
        top.i_valid = beat < sending.size();
        if (top.i_valid) {
            const bool pair = beat + 1 < sending.size();
            top.i_payload[0] = sending[beat];
            top.i_payload[1] = pair ? sending[beat + 1] : 0;
            top.i_payload[2] = pair | (beat + 2 >= sending.size()) << 1;
        }
        top.o_ready = up.free(clock);
        top.irq_taken = top.irq;
    }

    // What moves at the coming edge.
    void sample() {
        quiet++;
        if (top.i_valid && top.i_ready) {
            beat += 2;
            if (beat >= sending.size()) {
                sending.clear();
                beat = 0;
            }
        }
        if (top.o_valid && top.o_ready) {
            receiving.push_back(top.o_payload[0]);
            if (top.o_payload[2] & 1) receiving.push_back(top.o_payload[1]);
            if (top.o_payload[2] & 2) {
                up.take(clock, receiving.size());
                take();
                receiving.clear();
            }
        }
        clock++;
    }

    // Wait for a write.
    void nap() {
        for (int waited = 0; waited < NAP_US && !written(); waited += GLANCE_US) usleep(GLANCE_US);
    }

private:
    static bool writable(unsigned word) { return word >= RING_FIRST && word <= RING_LAST_WRITABLE; }

    bool written() const {
        for (unsigned word = RING_FIRST; word <= RING_LAST_WRITABLE; word++)
            if (bar.words[word] != shadow[word]) return true;
        return false;
    }

    // Send what the driver has written.
    void look() {
        const uint32_t open = bar.words[RING_OPEN].load(std::memory_order_acquire);
        // What describes the rings may have come while the endpoint did not rest, and was ignored.
        const bool again = open && open != shadow[RING_OPEN];
        for (unsigned word = RING_FIRST; word <= RING_LAST_WRITABLE; word++)
            if (word != RING_OPEN) pass(word, bar.words[word].load(std::memory_order_acquire), again);
        pass(RING_OPEN, open, false);
    }

    void pass(unsigned word, uint32_t value, bool again) {
        if (value == shadow[word] && !again) return;
        shadow[word] = value;
        requests.push_back({0x40000001, HOST << 16 | 0xf, BAR + 4 * word, swap(value)});
        quiet = 0;
        rung = clock;
    }

    // Ask for what the driver may read. `health` comes before `loaded`, so a driver that finds all words
    // loaded may find a health from before the last of them, but none from before the first.
    void refresh() {
        ask(0, FACTS);
        ask(RING_LAST_WRITABLE + 1, RING_READABLE);
    }

    void ask(unsigned word, unsigned count) {
        const uint32_t enables = count > 1 ? 0xff : 0x0f;
        tag = (tag + 1) & 0x1f;
        asked[tag] = word;
        requests.push_back({count, HOST << 16 | tag << 8 | enables, BAR + 4 * word});
    }

    // The next packet for the endpoint, when the link is free.
    void next() {
        if (!sending.empty() || !down.free(clock)) return;
        if (!requests.empty()) {
            sending = requests.front();
            requests.pop_front();
        } else if (!answers.empty() && answers.front().due <= clock) {
            sending = answers.front().packet;
            answers.pop_front();
            quiet = 0;
        } else {
            return;
        }
        down.take(clock, sending.size());
    }

    // All registers can be read: say where.
    void announce() {
        std::printf("/proc/%d/fd/%d /proc/%d/fd/%d %#llx\n", getpid(), bar.file, getpid(), memory.file,
                    static_cast<unsigned long long>(base));
        std::fflush(stdout);
        announced = true;
    }

    // A packet of the endpoint.
    void take() {
        const uint32_t head = receiving[0], type = head >> 24 & 0x1f;
        const unsigned length = head & 0x3ff ? head & 0x3ff : 1024;
        if (type == 0x0a) {
            const unsigned first = asked[receiving[2] >> 8 & 0x1f];
            if (head >> 30 & 1)
                for (unsigned k = 0; k < length; k++) bar.words[first + k] = swap(receiving[3 + k]);
            if (first != 0 && !announced) announce();
            return;
        }
        if (type != 0) return;
        quiet = 0;
        const bool four = head >> 29 & 1;
        const uint64_t address = four ? uint64_t{receiving[2]} << 32 | receiving[3] : receiving[2];
        const bool there = address >= base && address - base + 4 * length <= bytes;
        if (head >> 30 & 1) {
            if (there) write((address - base) / 4, receiving.data() + 3 + four, length);
        } else {
            answer(receiving[1], address, length, there);
        }
    }

    void write(size_t place, const uint32_t *data, unsigned length) {
        bar.words[BAR_BYTES / 4 - 2].store(static_cast<uint32_t>(clock - rung));
        bar.words[BAR_BYTES / 4 - 1].store((clock - rung) >> 32);
        for (unsigned k = 0; k < length; k++)
            memory.words[place + k].store(swap(data[k]), std::memory_order_release);
    }

    // Completions of a read: with data, in parts up to the payload, or with Unsupported Request.
    void answer(uint32_t ids, uint64_t address, unsigned length, bool there) {
        const uint32_t to = (ids & 0xffff0000) | (ids & 0xff00);
        if (!there) {
            answers.push_back({clock + LATENCY, {0x0a000000, HOST << 16 | 1 << 13 | 4, to}});
            return;
        }
        while (length) {
            const unsigned room = (PAYLOAD - address % BOUNDARY) / 4, part = std::min(length, room);
            Packet packet = {0x4a000000 | part, HOST << 16 | (4 * length & 0xfff),
                             to | static_cast<uint32_t>(address & 0x7f)};
            for (unsigned k = 0; k < part; k++)
                packet.push_back(swap(memory.words[(address - base) / 4 + k]));
            answers.push_back({clock + LATENCY, packet});
            address += 4 * part;
            length -= part;
        }
    }

    struct Answer {
        uint64_t due;
        Packet packet;
    };

    Vtop &top;
    size_t bytes;
    uint64_t base;
    Wire down, up;
    Mapped bar, memory;
    std::vector<uint32_t> shadow;
    std::deque<Packet> requests;
    std::deque<Answer> answers;
    Packet sending, receiving;
    size_t beat = 0;
    uint64_t clock = 0, rung = 0;
    unsigned quiet = 0, tag = 0;
    unsigned asked[32] = {};
    bool announced = false;
};

}  // namespace

int main(int argc, char **argv) {
    if (argc < 4 || argc > 6) {
        std::fprintf(stderr, "usage: %s BYTES BASE RATE [PARENT [+beats=FILE]]\n", argv[0]);
        return 2;
    }
    // A shell starts its background jobs with some signals ignored, which would be inherited.
    std::signal(SIGINT, SIG_DFL);
    std::signal(SIGTERM, SIG_DFL);
    // It may be gone already: compiling took a while.
    const pid_t parent = argc >= 5 ? std::strtol(argv[4], nullptr, 10) : getppid();
    VerilatedContext context;
    context.commandArgs(argc, argv);
    Vtop top(&context);
    Root root(top, std::strtoull(argv[1], nullptr, 0), std::strtoull(argv[2], nullptr, 0),
              std::strtoul(argv[3], nullptr, 0));

    while (getppid() == parent) {
        for (unsigned k = 0; k < STRETCH; k++) {
            top.clk = 0;
            root.drive();
            top.eval();
            root.sample();
            top.clk = 1;
            top.eval();
        }
        if (root.idle()) root.nap();
    }
}
