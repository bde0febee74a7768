// A PLL is what makes the clock that the harness provides: straight through, and in lock.

module SB_PLL40_CORE #(
    parameter FEEDBACK_PATH = "SIMPLE", DELAY_ADJUSTMENT_MODE_FEEDBACK = "FIXED",
    parameter DELAY_ADJUSTMENT_MODE_RELATIVE = "FIXED", SHIFTREG_DIV_MODE = 0,
    parameter FDA_FEEDBACK = 0, FDA_RELATIVE = 0, PLLOUT_SELECT = "GENCLK",
    parameter DIVR = 0, DIVF = 0, DIVQ = 0, FILTER_RANGE = 0, ENABLE_ICEGATE = 0, TEST_MODE = 0,
    parameter EXTERNAL_DIVIDE_FACTOR = 1
) (
    input REFERENCECLK, EXTFEEDBACK, BYPASS, RESETB, LATCHINPUTVALUE, SDI, SCLK,
    input [7:0] DYNAMICDELAY,
    output PLLOUTCORE, PLLOUTGLOBAL, LOCK, SDO
);
    assign PLLOUTCORE = REFERENCECLK, PLLOUTGLOBAL = REFERENCECLK, LOCK = 1'b1;
endmodule

module SB_PLL40_PAD #(
    parameter FEEDBACK_PATH = "SIMPLE", DELAY_ADJUSTMENT_MODE_FEEDBACK = "FIXED",
    parameter DELAY_ADJUSTMENT_MODE_RELATIVE = "FIXED", SHIFTREG_DIV_MODE = 0,
    parameter FDA_FEEDBACK = 0, FDA_RELATIVE = 0, PLLOUT_SELECT = "GENCLK",
    parameter DIVR = 0, DIVF = 0, DIVQ = 0, FILTER_RANGE = 0, ENABLE_ICEGATE = 0, TEST_MODE = 0,
    parameter EXTERNAL_DIVIDE_FACTOR = 1
) (
    input PACKAGEPIN, EXTFEEDBACK, BYPASS, RESETB, LATCHINPUTVALUE, SDI, SCLK,
    input [7:0] DYNAMICDELAY,
    output PLLOUTCORE, PLLOUTGLOBAL, LOCK, SDO
);
    assign PLLOUTCORE = PACKAGEPIN, PLLOUTGLOBAL = PACKAGEPIN, LOCK = 1'b1;
endmodule

// Pins without registers. Yosys' models have a third level, which Verilator takes in a design, but
// not at its ports; here a pin that is not driven is high, as a pull-up makes it.
module SB_IO #(
    parameter [5:0] PIN_TYPE = 0, parameter PULLUP = 0, NEG_TRIGGER = 0, IO_STANDARD = "SB_LVCMOS"
) (
    inout PACKAGE_PIN,
    input LATCH_INPUT_VALUE, CLOCK_ENABLE, INPUT_CLK, OUTPUT_CLK, OUTPUT_ENABLE, D_OUT_0, D_OUT_1,
    output D_IN_0, D_IN_1
);
    assign D_IN_0 = PACKAGE_PIN;
    generate
        if (PIN_TYPE[5:2] == 4'b0110) assign PACKAGE_PIN = D_OUT_0;
        else if (PIN_TYPE[5:2] == 4'b1010) assign PACKAGE_PIN = OUTPUT_ENABLE ? D_OUT_0 : 1'b1;
        else if (PIN_TYPE[5:2] != 4'b0000) SB_IO_with_registered_output refused();
        if (PIN_TYPE[1:0] != 2'b01 && PIN_TYPE[5:2] == 4'b0000)
            SB_IO_with_registered_input refused();
    endgenerate
endmodule

module SB_GB_IO #(
    parameter [5:0] PIN_TYPE = 0, parameter PULLUP = 0, NEG_TRIGGER = 0, IO_STANDARD = "SB_LVCMOS"
) (
    inout PACKAGE_PIN,
    input LATCH_INPUT_VALUE, CLOCK_ENABLE, INPUT_CLK, OUTPUT_CLK, OUTPUT_ENABLE, D_OUT_0, D_OUT_1,
    output D_IN_0, D_IN_1, GLOBAL_BUFFER_OUTPUT
);
    assign D_IN_0 = PACKAGE_PIN, GLOBAL_BUFFER_OUTPUT = PACKAGE_PIN;
    generate
        if (PIN_TYPE != 6'b000001) SB_GB_IO_that_is_no_plain_input refused();
    endgenerate
endmodule
