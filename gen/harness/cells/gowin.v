// A PLL is what makes the clock that the harness provides: straight through, and in lock.

module rPLL #(
    parameter FCLKIN = "", DEVICE = "", IDIV_SEL = 0, FBDIV_SEL = 0, ODIV_SEL = 8,
    parameter DYN_IDIV_SEL = "", DYN_FBDIV_SEL = "", DYN_ODIV_SEL = "", PSDA_SEL = "",
    parameter DYN_DA_EN = "", DUTYDA_SEL = "", CLKOUT_FT_DIR = 1, CLKOUTP_FT_DIR = 1,
    parameter CLKOUT_DLY_STEP = 0, CLKOUTP_DLY_STEP = 0, CLKFB_SEL = "", CLKOUT_BYPASS = "",
    parameter CLKOUTP_BYPASS = "", CLKOUTD_BYPASS = "", DYN_SDIV_SEL = 2, CLKOUTD_SRC = "",
    parameter CLKOUTD3_SRC = ""
) (
    input CLKIN, CLKFB, RESET, RESET_P,
    input [5:0] FBDSEL, IDSEL, ODSEL,
    input [3:0] PSDA, DUTYDA, FDLY,
    output CLKOUT, CLKOUTP, CLKOUTD, CLKOUTD3, LOCK
);
    assign CLKOUT = CLKIN, LOCK = 1'b1;
endmodule
