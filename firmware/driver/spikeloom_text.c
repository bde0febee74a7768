/* Errors in words. A program that prints none does without this file. */
#include "spikeloom_driver.h"

const char *spikeloom_text(enum spikeloom_error error)
{
    switch (error) {
    case SPIKELOOM_OK:
        return "done";
    case SPIKELOOM_PENDING:
        return "the device has not completed the sample yet; ask again";
    case SPIKELOOM_BUSY:
        return "no room for another sample; read a result, or open again if none is due";
    case SPIKELOOM_EMPTY:
        return "no result is due; submit a sample first";
    case SPIKELOOM_TIMEOUT:
        return "the device has not completed the sample in time; wait longer, or reset it";
    case SPIKELOOM_RANGE:
        return "an argument is out of its range; see spikeloom.h";
    case SPIKELOOM_CLOSED:
        return "no session is open; open one";
    case SPIKELOOM_CUT:
        return "the line takes no more bytes; is its hardware set up?";
    case SPIKELOOM_SILENT:
        return "no answer; is the board powered and configured, and this its line?";
    case SPIKELOOM_NOISY:
        return "bytes arrive, but no answer among them; check the rate, cable and ground";
    case SPIKELOOM_STRANGER:
        return "something answers, but it is not a Spikeloom device; check the line";
    case SPIKELOOM_VERSION:
        return "the device speaks another version of the protocol; build both again";
    case SPIKELOOM_OTHER_BUILD:
        return "the device holds another build than spikeloom.h describes; program it again";
    case SPIKELOOM_OTHER_NETWORK:
        return "the device's memories hold another network; load the image of this one";
    case SPIKELOOM_DAMAGED:
        return "the device's memories are not what they should be; load an image";
    case SPIKELOOM_FAILED:
        return "the device fails its self-test; load its image, or program it again";
    case SPIKELOOM_IMAGE:
        return "the image is damaged, or not of the build that spikeloom.h is of";
    case SPIKELOOM_TAKEN:
        return "another host has taken the device over; open a session to take it back";
    case SPIKELOOM_RESET:
        return "the device was reset or programmed; open another session";
    case SPIKELOOM_REFUSED:
        return "the device refuses a request; does the line reorder bytes? Open another session";
    }
    return "no error of this driver";
}
