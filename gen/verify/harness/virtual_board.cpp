// A board on this machine: the Verilated top level, its UART pins on a pseudo-terminal.
//
// Arguments: the clocks a bit lasts, the process to end with, if that is not the one that started it, and
// +beats=FILE, if the board records beats. The first line on standard output is the terminal's path. Ends with that process, or by a signal.
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <poll.h>
#include <termios.h>
#include <unistd.h>
#include "Vtop.h"

namespace {

constexpr unsigned AWAKE = 200'000;  // clocks without a byte after which the board dozes: from then
constexpr unsigned STRETCH = 2'000;  // on it runs for a stretch, then waits for a byte, in turn
constexpr int NAP_MS = 5;

[[noreturn]] void fail(const char *what) {
    std::perror(what);
    std::exit(1);
}

int open_terminal() {
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    if (master < 0 || grantpt(master) || unlockpt(master)) fail("pseudo-terminal");
    const char *path = ptsname(master);
    if (!path) fail("pseudo-terminal");
    // The other end is kept open, or else it would hang up when the host closes it.
    int slave = open(path, O_RDWR | O_NOCTTY);
    termios mode;
    if (slave < 0 || tcgetattr(slave, &mode)) fail(path);
    cfmakeraw(&mode);
    if (tcsetattr(slave, TCSANOW, &mode)) fail(path);
    if (fcntl(master, F_SETFL, O_NONBLOCK)) fail(path);
    std::printf("%s\n", path);
    std::fflush(stdout);
    return master;
}

// From bytes of the host to levels of the line, and back; one call a clock.
class Line {
public:
    Line(int terminal, unsigned divisor) : terminal(terminal), divisor(divisor) {}

    bool idle() const { return quiet > AWAKE; }

    // Level of the board's rx.
    bool drive() {
        if (out_timer) {
            out_timer--;
        } else if (out_bits > 3) {  // more than the stop bit and the marker
            out_bits >>= 1;
            out_timer = divisor - 1;
        } else if (next < have || refill()) {
            out_bits = 0x600u | buffer[next++] << 1;  // marker, stop bit, data, start bit
            out_timer = divisor - 1;
            quiet = 0;
        } else {
            out_timer = divisor - 1;  // look again in a bit's time
            return true;
        }
        return out_bits & 1;
    }

    // Takes the level of the board's tx.
    void sample(bool level) {
        quiet++;
        if (in_left == 0) {
            if (level) return;
            in_left = 10;
            in_timer = divisor / 2;
        }
        quiet = 0;
        if (in_timer--) return;
        in_timer = divisor - 1;
        in_bits = in_bits >> 1 | level << 9;
        if (--in_left == 0 && level) send(in_bits >> 1 & 0xff);
    }

    void nap() {
        pollfd event = {terminal, POLLIN, 0};
        poll(&event, 1, NAP_MS);
    }

private:
    bool refill() {
        ssize_t got = read(terminal, buffer, sizeof buffer);
        if (got < 0 && errno != EAGAIN && errno != EINTR && errno != EIO) fail("read");
        next = 0;
        have = got > 0 ? got : 0;
        return have;
    }

    // A full terminal loses bytes, as a wire to nobody does.
    void send(unsigned char byte) {
        if (write(terminal, &byte, 1) < 0 && errno != EAGAIN && errno != EINTR && errno != EIO)
            fail("write");
    }

    int terminal;
    unsigned divisor;
    unsigned quiet = 0;
    unsigned out_bits = 3, out_timer = 0;
    unsigned in_bits = 0, in_timer = 0, in_left = 0;
    unsigned char buffer[4096];
    size_t next = 0, have = 0;
};

}  // namespace

int main(int argc, char **argv) {
    unsigned divisor = argc >= 2 && argc <= 4 ? std::strtoul(argv[1], nullptr, 10) : 0;
    if (divisor < 2) {
        std::fprintf(stderr, "usage: %s CLOCKS_PER_BIT [PARENT [+beats=FILE]]\n", argv[0]);
        return 2;
    }
    // A shell starts its background jobs with some signals ignored, which would be inherited.
    std::signal(SIGINT, SIG_DFL);
    std::signal(SIGTERM, SIG_DFL);
    // It may be gone already: compiling took a while.
    pid_t parent = argc >= 3 ? std::strtol(argv[2], nullptr, 10) : getppid();
    VerilatedContext context;
    context.commandArgs(argc, argv);
    Vtop top(&context);
    Line line(open_terminal(), divisor);

    while (getppid() == parent) {
        for (unsigned k = 0; k < STRETCH; k++) {
            top.rx = line.drive();
            top.clk = 0;
            top.eval();
            top.clk = 1;
            top.eval();
            line.sample(top.tx);
        }
        if (line.idle()) line.nap();
    }
}
