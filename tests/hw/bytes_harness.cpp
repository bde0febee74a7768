// Drives a device at the byte level. Standard input: chunks, each a length (2 bytes, little-endian)
// and that many pairs of a byte and its `bad` flag. Standard output: what was sent during each chunk,
// a length (4 bytes) and that many bytes. A chunk ends when nothing has moved for a while.
// Verilator spells the second of two underscores ___05F.
#include <cstdio>
#include <vector>
#include "Vtop.h"

static Vtop top;

static void tick() {
    top.clk = 0; top.eval();
    top.clk = 1; top.eval();
}

int main() {
    top.rst = 1; tick(); top.rst = 0;
    top.o___05Fready = 1;
    unsigned char length[2];
    while (fread(length, 1, 2, stdin) == 2) {
        std::vector<unsigned char> in(2 * (length[0] + 256 * length[1])), out;
        if (!in.empty() && fread(in.data(), 1, in.size(), stdin) != in.size()) return 1;
        size_t next = 0;
        for (int quiet = 0; quiet < 64; quiet++) {
            top.clk = 0;
            top.i___05Fvalid = next < in.size();
            if (top.i___05Fvalid) top.i___05Fpayload = in[next] | (in[next + 1] & 1) << 8;
            top.eval();
            if (top.i___05Fvalid && top.i___05Fready) { next += 2; quiet = 0; }
            if (top.o___05Fvalid) { out.push_back(top.o___05Fpayload); quiet = 0; }
            if (next < in.size() && quiet == 63) return 2;
            top.clk = 1; top.eval();
        }
        unsigned n = out.size();
        fwrite(&n, 4, 1, stdout);
        fwrite(out.data(), 1, n, stdout);
    }
    return 0;
}
