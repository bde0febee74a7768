// Streams samples through the Verilated array, without Python; see gen/verify/simulation.py.
//
//   simulate INPUTS OUTPUTS FIRST COUNT ALONE PATIENCE TIMESTEPS
//
// INPUTS holds the beats of all samples as 32-bit words. Of the COUNT samples from FIRST, the leading
// ALONE are sent one at a time (their latency is that of an empty array), the others back to back.
// OUTPUTS receives, all numbers but the logits as uint64:
//
//   for each sample: the clock of its first input beat; for each layer those of its first and its
//     last output; the words of its logits
//   for each layer in turn, the clock of each beat that it makes of the first sample
//   the clocks of the steady state, which begins when two samples a layer, but at most a quarter of
//     those sent back to back, are done, and ends when the last one has entered; and, of these, for
//     each core's replicas those in which its lanes added
//   how the lanes were occupied over its first few samples: the clock it begins, the clocks of a bin,
//     the number of bins, and for each bin the clocks each core's replicas added
//
// Standard output gets the number of samples completed since the last line, or "hang SAMPLE".
//
// shape.h is generated: INPUT_BEATS, INPUT_WORDS, LOGIT_BEATS, LOGIT_WORDS; CORES, which counts
// every replica of a core; LAYERS and LAYER_BEATS, the beats a sample has at each layer's output.

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

#include "Vtop.h"
#include "shape.h"
#include "verilated.h"

namespace {

// A port is an integer up to 64 bits, else an array of words.
template <class Port>
void put(Port& port, const uint32_t* words) {
    if constexpr (sizeof(Port) <= 4) {
        port = static_cast<Port>(words[0]);
    } else {
        port = words[0] | static_cast<uint64_t>(words[1]) << 32;
    }
}

template <std::size_t N>
void put(VlWide<N>& port, const uint32_t* words) {
    for (std::size_t k = 0; k < N; ++k) port[k] = words[k];
}

template <class Port>
void get(const Port& port, uint32_t* words) {
    words[0] = static_cast<uint32_t>(port);
    if constexpr (sizeof(Port) > 4) words[1] = static_cast<uint32_t>(port >> 32);
}

template <std::size_t N>
void get(const VlWide<N>& port, uint32_t* words) {
    for (std::size_t k = 0; k < N; ++k) words[k] = port[k];
}

constexpr std::size_t kSampleWords = std::size_t(INPUT_BEATS) * INPUT_WORDS;
constexpr std::size_t kLayerBeats[LAYERS] = LAYER_BEATS;

struct Sample {
    uint64_t first;
    uint64_t outputs[LAYERS][2];
    uint32_t logits[LOGIT_BEATS * LOGIT_WORDS];
};

template <class T>
void dump(const std::vector<T>& values, std::FILE* file) {
    std::fwrite(values.data(), sizeof(T), values.size(), file);
}

// Clocks in which each replica added, in bins that become wider as time goes on: there are never
// more than kMost, and but for the beginning never less than half of them.
class Occupancy {
public:
    using Counts = std::array<uint64_t, CORES>;

    void add(uint64_t clock, const uint32_t* busy) {
        if (bins_.empty()) began_ = clock;
        if ((clock - began_) % width_ == 0) open();
        for (std::size_t k = 0; k < CORES; ++k) bins_.back()[k] += busy[k / 32] >> k % 32 & 1;
    }

    void write(std::FILE* file) const {
        const uint64_t facts[] = {began_, width_, bins_.size()};
        std::fwrite(facts, sizeof facts, 1, file);
        dump(bins_, file);
    }

private:
    static constexpr std::size_t kMost = 1024;

    void open() {
        if (bins_.size() == kMost) {
            for (std::size_t bin = 0; bin < kMost / 2; ++bin) {
                Counts pair = bins_[2 * bin];
                for (std::size_t k = 0; k < CORES; ++k) pair[k] += bins_[2 * bin + 1][k];
                bins_[bin] = pair;
            }
            bins_.resize(kMost / 2);
            width_ *= 2;
        }
        bins_.emplace_back();
    }

    uint64_t began_ = 0, width_ = 1;
    std::vector<Counts> bins_;
};

const uint32_t* map_file(const char* path) {
    const int file = open(path, O_RDONLY);
    struct stat facts;
    if (file < 0 || fstat(file, &facts) != 0) {
        std::perror(path);
        std::exit(1);
    }
    void* data = mmap(nullptr, facts.st_size, PROT_READ, MAP_PRIVATE, file, 0);
    if (data == MAP_FAILED) {
        std::perror(path);
        std::exit(1);
    }
    return static_cast<const uint32_t*>(data);
}

class Simulation {
public:
    Simulation(const uint32_t* inputs, std::size_t first, std::size_t count, std::size_t alone,
               uint64_t patience, unsigned timesteps)
        : inputs_(inputs + first * kSampleWords), first_(first), alone_(alone),
          patience_(patience), settled_(alone + std::min<std::size_t>(2 * LAYERS, (count - alone) / 4)),
          samples_(count) {
        top_.timesteps = timesteps;
    }

    bool run() {
        reset();
        while (done_ < samples_.size()) {
            if (clock_ - moved_ > patience_) return false;
            observe();
            offer();
            tick();
            ++clock_;
        }
        return true;
    }

    std::size_t hung_at() const { return first_ + done_; }

    void write(std::FILE* file) const {
        for (const Sample& sample : samples_) {
            std::fwrite(&sample.first, sizeof sample.first, 1, file);
            std::fwrite(sample.outputs, sizeof sample.outputs, 1, file);
            std::fwrite(sample.logits, sizeof sample.logits, 1, file);
        }
        for (const Layer& layer : layers_) dump(layer.clocks, file);
        std::fwrite(&steady_, sizeof steady_, 1, file);
        std::fwrite(busy_.data(), sizeof busy_, 1, file);
        occupancy_.write(file);
    }

private:
    // Where a layer's output is: the sample, and its beat.
    struct Layer {
        std::size_t sample = 0, beat = 0;
        std::vector<uint64_t> clocks;
    };

    // Samples over which the occupancy is kept.
    static constexpr std::size_t kOccupied = 4;

    void tick() {
        top_.clk = 0;
        top_.eval();
        top_.clk = 1;
        top_.eval();
    }

    void reset() {
        top_.rst = 1;
        top_.i_valid = 0;
        for (int k = 0; k < 3; ++k) tick();
        top_.rst = 0;
        for (int k = 0; k < 2; ++k) tick();
    }

    // What moves at the coming edge.
    void observe() {
        if (done_ > settled_ && next_ < samples_.size()) measure();
        if (top_.entered) enter();
        follow();
        if (top_.o_valid) collect();
    }

    void follow() {
        uint32_t moved[(LAYERS + 63) / 64 * 2];
        get(top_.moved, moved);
        for (std::size_t word = 0; word < (LAYERS + 31) / 32; ++word) {
            for (uint32_t bits = moved[word]; bits != 0; bits &= bits - 1) {
                leave(32 * word + __builtin_ctz(bits));
            }
        }
    }

    // A beat of a layer's output.
    void leave(std::size_t index) {
        Layer& layer = layers_[index];
        if (layer.sample == samples_.size()) return;  // of a defective array; its logits tell
        uint64_t* outputs = samples_[layer.sample].outputs[index];
        if (layer.beat == 0) outputs[0] = clock_;
        outputs[1] = clock_;
        if (layer.sample == 0) layer.clocks.push_back(clock_);
        if (++layer.beat < kLayerBeats[index]) return;
        layer.beat = 0;
        ++layer.sample;
    }

    void enter() {
        if (entered_ % INPUT_BEATS == 0) samples_[entered_ / INPUT_BEATS].first = clock_;
        ++entered_;
        moved_ = clock_;
    }

    void collect() {
        Sample& sample = samples_[done_];
        get(top_.o_payload, sample.logits + group_ * LOGIT_WORDS);
        moved_ = clock_;
        if (++group_ < LOGIT_BEATS) return;
        group_ = 0;
        ++done_;
        report();
    }

    void measure() {
        uint32_t busy[(CORES + 63) / 64 * 2];
        get(top_.busy, busy);
        ++steady_;
        for (std::size_t k = 0; k < CORES; ++k) busy_[k] += busy[k / 32] >> k % 32 & 1;
        if (done_ <= settled_ + kOccupied) occupancy_.add(clock_, busy);
    }

    // The next beat, if the register takes one at the coming edge.
    void offer() {
        if (!top_.i_ready) return;
        top_.i_valid = next_ < samples_.size() && (beat_ > 0 || next_ > alone_ || next_ == done_);
        if (!top_.i_valid) return;
        put(top_.i_payload, inputs_ + next_ * kSampleWords + beat_ * INPUT_WORDS);
        if (++beat_ < INPUT_BEATS) return;
        beat_ = 0;
        ++next_;
    }

    // Samples completed since the last line, a few lines a second.
    void report() {
        const auto now = std::chrono::steady_clock::now();
        if (done_ < samples_.size() && now - reported_at_ < std::chrono::milliseconds(200)) return;
        std::printf("%zu\n", done_ - reported_);
        std::fflush(stdout);
        reported_ = done_;
        reported_at_ = now;
    }

    Vtop top_;
    const uint32_t* inputs_;
    const std::size_t first_;
    const std::size_t alone_;
    const uint64_t patience_;
    const std::size_t settled_;
    std::vector<Sample> samples_;
    std::array<Layer, LAYERS> layers_{};
    std::array<uint64_t, CORES> busy_{};
    Occupancy occupancy_;
    std::size_t next_ = 0, beat_ = 0, entered_ = 0, done_ = 0, group_ = 0, reported_ = 0;
    uint64_t clock_ = 0, moved_ = 0, steady_ = 0;
    std::chrono::steady_clock::time_point reported_at_{};
};

}  // namespace

int main(int argc, char** argv) {
    if (argc != 8) {
        std::fprintf(stderr, "usage: %s INPUTS OUTPUTS FIRST COUNT ALONE PATIENCE "
                             "TIMESTEPS\n", argv[0]);
        return 1;
    }
    const auto number = [&](int k) { return std::strtoull(argv[k], nullptr, 10); };
    auto simulation = std::make_unique<Simulation>(map_file(argv[1]), number(3), number(4), number(5),
                                                   number(6), static_cast<unsigned>(number(7)));
    if (!simulation->run()) {
        std::printf("hang %zu\n", simulation->hung_at());
        return 2;
    }
    std::FILE* file = std::fopen(argv[2], "wb");
    if (file == nullptr) {
        std::perror(argv[2]);
        return 1;
    }
    simulation->write(file);
    return std::fclose(file) == 0 ? 0 : 1;
}
