// A board's pins on two pipes: what the host writes goes to rx bit by bit, what tx says comes back.
//
//   pins DIVISOR PATIENCE SPIED
//
// Standard input has commands: a length (uint32) and that many bytes, which follow those on their
// way, DIVISOR clocks a bit; or a length of 0, upon which the clock runs until the next frame
// (docs/link.md) has come and is written to standard output: the clocks that have passed (uint64),
// its length (uint32), its bytes. The board's clock runs only then, and the line in both directions
// at once, so that what happens depends on nothing but the commands. If nothing comes or goes for
// PATIENCE clocks the program ends with status 3.
//
// At the end of its input it writes to SPIED the clocks that have passed (uint64) and, for each
// clock in which a bit of "moved" was set, the words of "moved" and of "beats" (uint32).

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <vector>

#include "Vtop.h"
#include "verilated.h"

namespace {

constexpr uint8_t kEnd = 0xc0;
constexpr unsigned kSilence = 100;  // bits of it before the first request: a reset may have to end

// A port is an integer up to 64 bits, else an array of words.
template <class Port>
void append(std::vector<uint32_t>& words, const Port& port) {
    words.push_back(static_cast<uint32_t>(port));
    if constexpr (sizeof(Port) > 4) words.push_back(static_cast<uint32_t>(port >> 32));
}

template <std::size_t N>
void append(std::vector<uint32_t>& words, const VlWide<N>& port) {
    for (std::size_t k = 0; k < N; ++k) words.push_back(port[k]);
}

template <class Port>
bool any(const Port& port) {
    return port != 0;
}

template <std::size_t N>
bool any(const VlWide<N>& port) {
    for (std::size_t k = 0; k < N; ++k) {
        if (port[k] != 0) return true;
    }
    return false;
}

// Whether bytes end with a frame: an END after anything but ENDs.
bool complete(const std::vector<uint8_t>& bytes) {
    if (bytes.empty() || bytes.back() != kEnd) return false;
    for (const uint8_t byte : bytes) {
        if (byte != kEnd) return true;
    }
    return false;
}

class Pins {
public:
    Pins(unsigned divisor, uint64_t patience) : divisor_(divisor), patience_(patience) {
        top_.rx = 1;
        for (unsigned n = 0; n < kSilence * divisor_; ++n) clock();
    }

    void send(const std::vector<uint8_t>& bytes) {
        waiting_.insert(waiting_.end(), bytes.begin(), bytes.end());
    }

    // The next frame, or nothing if there is none.
    std::vector<uint8_t> frame() {
        quiet_ = 0;
        received_.clear();
        while (!complete(received_)) {
            if (quiet_ > patience_) return {};
            clock();
        }
        return received_;
    }

    uint64_t clocks() const { return clocks_; }

    bool write(const char* path) const {
        std::FILE* file = std::fopen(path, "wb");
        if (file == nullptr) return false;
        std::fwrite(&clocks_, sizeof clocks_, 1, file);
        std::fwrite(spied_.data(), sizeof spied_[0], spied_.size(), file);
        return std::fclose(file) == 0;
    }

private:
    // What is seen before an edge is what moves at it.
    void clock() {
        top_.clk = 0;
        top_.eval();
        if (any(top_.moved)) {
            append(spied_, top_.moved);
            append(spied_, top_.beats);
        }
        receive(top_.tx);
        top_.rx = drive();
        top_.clk = 1;
        top_.eval();
        ++clocks_;
    }

    // The level of rx from this edge on.
    bool drive() {
        if (out_timer_ > 0) {
            --out_timer_;
        } else if (out_left_ > 0 || !waiting_.empty()) {
            if (out_left_ == 0) {
                out_bits_ = 0x200u | waiting_.front() << 1;  // stop bit, data, start bit
                waiting_.pop_front();
                out_left_ = 10;
            } else {
                out_bits_ >>= 1;
            }
            --out_left_;
            out_timer_ = divisor_ - 1;
            quiet_ = 0;
        }
        return out_bits_ & 1;
    }

    // Takes the level of tx, and the middle of its bits.
    void receive(bool level) {
        ++quiet_;
        if (left_ == 0) {
            if (level) return;
            left_ = 10;
            timer_ = divisor_ / 2;
        }
        quiet_ = 0;
        if (timer_-- > 0) return;
        timer_ = divisor_ - 1;
        bits_ = bits_ >> 1 | unsigned(level) << 9;
        if (--left_ == 0 && level) received_.push_back(bits_ >> 1 & 0xff);
    }

    Vtop top_;
    const unsigned divisor_;
    const uint64_t patience_;
    std::deque<uint8_t> waiting_;
    std::vector<uint8_t> received_;
    std::vector<uint32_t> spied_;
    uint64_t clocks_ = 0, quiet_ = 0;
    unsigned out_bits_ = 1, out_timer_ = 0, out_left_ = 0;
    unsigned bits_ = 0, timer_ = 0, left_ = 0;
};

bool read_all(void* data, std::size_t size) {
    return std::fread(data, 1, size, stdin) == size;
}

bool write_frame(uint64_t clocks, const std::vector<uint8_t>& bytes) {
    const uint32_t size = bytes.size();
    return std::fwrite(&clocks, sizeof clocks, 1, stdout) == 1 &&
           std::fwrite(&size, sizeof size, 1, stdout) == 1 &&
           std::fwrite(bytes.data(), 1, size, stdout) == size && std::fflush(stdout) == 0;
}

}  // namespace

int main(int argc, char** argv) {
    const unsigned divisor = argc == 4 ? std::strtoul(argv[1], nullptr, 10) : 0;
    if (divisor < 2) {
        std::fprintf(stderr, "usage: %s DIVISOR PATIENCE SPIED\n", argv[0]);
        return 2;
    }
    Pins pins(divisor, std::strtoull(argv[2], nullptr, 10));
    uint32_t size;
    while (read_all(&size, sizeof size)) {
        if (size > 0) {
            std::vector<uint8_t> bytes(size);
            if (!read_all(bytes.data(), size)) return 1;
            pins.send(bytes);
        } else {
            const auto frame = pins.frame();
            if (frame.empty()) return 3;
            if (!write_frame(pins.clocks(), frame)) return 1;
        }
    }
    if (!pins.write(argv[3])) {
        std::perror(argv[3]);
        return 1;
    }
    return 0;
}
