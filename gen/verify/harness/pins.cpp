// A board's pins on two pipes: what the host writes goes to rx bit by bit, what tx says comes back.
//
//   pins DIVISOR PATIENCE SPIED
//
// Standard input has requests: frames between two END bytes (docs/link.md). Each is sent, DIVISOR
// clocks a bit, and its answer written to standard output as soon as it is complete. The board's
// clock runs only in between, so that what happens depends on nothing but the requests. If nothing
// comes for PATIENCE clocks the program ends with status 3.
//
// At the end of its input it writes to SPIED the clocks that have passed (uint64) and, for each
// clock in which a bit of "moved" was set, the words of "moved" and of "beats" (uint32).

#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
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

    // The answer to a request, or nothing if there is none.
    std::vector<uint8_t> exchange(const std::vector<uint8_t>& request) {
        answer_.clear();
        for (const uint8_t byte : request) send(byte);
        quiet_ = 0;
        while (!complete(answer_)) {
            if (quiet_ > patience_) return {};
            clock();
        }
        return answer_;
    }

    bool write(const char* path) const {
        std::FILE* file = std::fopen(path, "wb");
        if (file == nullptr) return false;
        std::fwrite(&clocks_, sizeof clocks_, 1, file);
        std::fwrite(spied_.data(), sizeof spied_[0], spied_.size(), file);
        return std::fclose(file) == 0;
    }

private:
    void send(uint8_t byte) {
        unsigned bits = 0x200u | byte << 1;  // stop bit, data, start bit
        for (int k = 0; k < 10; ++k, bits >>= 1) {
            top_.rx = bits & 1;
            for (unsigned n = 0; n < divisor_; ++n) clock();
        }
    }

    // What is seen before an edge is what moves at it.
    void clock() {
        top_.clk = 0;
        top_.eval();
        if (any(top_.moved)) {
            append(spied_, top_.moved);
            append(spied_, top_.beats);
        }
        receive(top_.tx);
        top_.clk = 1;
        top_.eval();
        ++clocks_;
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
        if (--left_ == 0 && level) answer_.push_back(bits_ >> 1 & 0xff);
    }

    Vtop top_;
    const unsigned divisor_;
    const uint64_t patience_;
    std::vector<uint8_t> answer_;
    std::vector<uint32_t> spied_;
    uint64_t clocks_ = 0, quiet_ = 0;
    unsigned bits_ = 0, timer_ = 0, left_ = 0;
};

// The next request; empty at the end of the input.
std::vector<uint8_t> next_request() {
    std::vector<uint8_t> request;
    uint8_t byte;
    while (read(STDIN_FILENO, &byte, 1) == 1) {
        request.push_back(byte);
        if (complete(request)) return request;
    }
    return {};
}

}  // namespace

int main(int argc, char** argv) {
    const unsigned divisor = argc == 4 ? std::strtoul(argv[1], nullptr, 10) : 0;
    if (divisor < 2) {
        std::fprintf(stderr, "usage: %s DIVISOR PATIENCE SPIED\n", argv[0]);
        return 2;
    }
    Pins pins(divisor, std::strtoull(argv[2], nullptr, 10));
    for (auto request = next_request(); !request.empty(); request = next_request()) {
        const auto answer = pins.exchange(request);
        if (answer.empty()) return 3;
        if (write(STDOUT_FILENO, answer.data(), answer.size()) < 0) return 1;
    }
    if (!pins.write(argv[3])) {
        std::perror(argv[3]);
        return 1;
    }
    return 0;
}
