/* What the example needs of a machine. */
#ifndef MACHINE_H
#define MACHINE_H

#include "spikeloom_driver.h"

/* Set the serial line up. */
void set_up(void);

/* The serial line, a 16550. */
extern const struct spikeloom_line machine_line;

/* Print text, on the terminal of whoever started the machine. */
void print(const char *text);

/* End the machine; 0 means success. */
void leave(int status);

#endif
