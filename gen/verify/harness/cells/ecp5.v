// Block RAM of ECP5 as Yosys maps memories to it (Lattice FPGA-TN-02204): true dual port with
// widths up to 18, and a port of 36 (which writes at A and reads at B), no output register.
//
// Each of the 1024 words has 18 bits, two bytes of 9; ports of 1, 2 and 4 bits leave the ninth out.
// A port of 36 has the lower half of a pair of words on the pins of A, DIA and DOA, as Yosys'
// mapping has it. Where the data sheet leaves the result of a collision open (a port reads what the
// other writes), the model gives the complement of what is stored, so that nothing can rely on it.

module DP16KD #(
    parameter DATA_WIDTH_A = 18, DATA_WIDTH_B = 18,
    parameter REGMODE_A = "NOREG", REGMODE_B = "NOREG",
    parameter RESETMODE = "SYNC", ASYNC_RESET_RELEASE = "SYNC",
    parameter CSDECODE_A = "0b000", CSDECODE_B = "0b000",
    parameter WRITEMODE_A = "NORMAL", WRITEMODE_B = "NORMAL",
    parameter CLKAMUX = "CLKA", CLKBMUX = "CLKB", GSR = "ENABLED",
    parameter WID = 0, INIT_DATA = "STATIC", INITVAL = 0,
    parameter [319:0]
        INITVAL_00 = 0, INITVAL_01 = 0, INITVAL_02 = 0, INITVAL_03 = 0, INITVAL_04 = 0,
        INITVAL_05 = 0, INITVAL_06 = 0, INITVAL_07 = 0, INITVAL_08 = 0, INITVAL_09 = 0,
        INITVAL_0A = 0, INITVAL_0B = 0, INITVAL_0C = 0, INITVAL_0D = 0, INITVAL_0E = 0,
        INITVAL_0F = 0, INITVAL_10 = 0, INITVAL_11 = 0, INITVAL_12 = 0, INITVAL_13 = 0,
        INITVAL_14 = 0, INITVAL_15 = 0, INITVAL_16 = 0, INITVAL_17 = 0, INITVAL_18 = 0,
        INITVAL_19 = 0, INITVAL_1A = 0, INITVAL_1B = 0, INITVAL_1C = 0, INITVAL_1D = 0,
        INITVAL_1E = 0, INITVAL_1F = 0, INITVAL_20 = 0, INITVAL_21 = 0, INITVAL_22 = 0,
        INITVAL_23 = 0, INITVAL_24 = 0, INITVAL_25 = 0, INITVAL_26 = 0, INITVAL_27 = 0,
        INITVAL_28 = 0, INITVAL_29 = 0, INITVAL_2A = 0, INITVAL_2B = 0, INITVAL_2C = 0,
        INITVAL_2D = 0, INITVAL_2E = 0, INITVAL_2F = 0, INITVAL_30 = 0, INITVAL_31 = 0,
        INITVAL_32 = 0, INITVAL_33 = 0, INITVAL_34 = 0, INITVAL_35 = 0, INITVAL_36 = 0,
        INITVAL_37 = 0, INITVAL_38 = 0, INITVAL_39 = 0, INITVAL_3A = 0, INITVAL_3B = 0,
        INITVAL_3C = 0, INITVAL_3D = 0, INITVAL_3E = 0, INITVAL_3F = 0
) (
    input CEA, OCEA, CLKA, WEA, RSTA, CSA2, CSA1, CSA0, input CEB, OCEB, CLKB, WEB, RSTB, CSB2,
    CSB1, CSB0,
    input
        ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2, ADA1, ADA0,
    input
        ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2, ADB1, ADB0,
    input
        DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9, DIA8, DIA7, DIA6, DIA5, DIA4,
        DIA3, DIA2, DIA1, DIA0,
    input
        DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8, DIB7, DIB6, DIB5, DIB4,
        DIB3, DIB2, DIB1, DIB0,
    output
        DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6, DOA5, DOA4,
        DOA3, DOA2, DOA1, DOA0,
    output
        DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6, DOB5, DOB4,
        DOB3, DOB2, DOB1, DOB0
);
    wire clk_a = CLKA ^ (CLKAMUX == "INV"), clk_b = CLKB ^ (CLKBMUX == "INV");
    wire [13:0] ad_a = {
        ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2, ADA1, ADA0
    };
    wire [13:0] ad_b = {
        ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2, ADB1, ADB0
    };
    wire [17:0] di_a = {
        DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9, DIA8, DIA7, DIA6, DIA5, DIA4,
        DIA3, DIA2, DIA1, DIA0
    };
    wire [17:0] di_b = {
        DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8, DIB7, DIB6, DIB5, DIB4,
        DIB3, DIB2, DIB1, DIB0
    };

    // The address of a port's word in the bits that its width leaves, and of the bit within 18.
    function [13:0] masked;
        input [13:0] address;
        input integer width;
        masked = width == 36 ? address & 14'h3fe0 : width == 18 ? address & 14'h3ff0
               : width == 9 ? address & 14'h3ff8 : address & ~(width - 1);
    endfunction

    function [4:0] place;
        input [13:0] address;
        input integer width;
        place = width >= 18 ? 0 : 9 * address[3] + (width == 9 ? 0 : address[2:0]);
    endfunction

    localparam WA = DATA_WIDTH_A, WB = DATA_WIDTH_B;
    wire [13:0] a = masked(ad_a, WA), b = masked(ad_b, WB);

    reg [17:0] store [0:1023];
    wire [20479:0] contents = {
        INITVAL_3F, INITVAL_3E, INITVAL_3D, INITVAL_3C, INITVAL_3B, INITVAL_3A, INITVAL_39,
        INITVAL_38, INITVAL_37, INITVAL_36, INITVAL_35, INITVAL_34, INITVAL_33, INITVAL_32,
        INITVAL_31, INITVAL_30, INITVAL_2F, INITVAL_2E, INITVAL_2D, INITVAL_2C, INITVAL_2B,
        INITVAL_2A, INITVAL_29, INITVAL_28, INITVAL_27, INITVAL_26, INITVAL_25, INITVAL_24,
        INITVAL_23, INITVAL_22, INITVAL_21, INITVAL_20, INITVAL_1F, INITVAL_1E, INITVAL_1D,
        INITVAL_1C, INITVAL_1B, INITVAL_1A, INITVAL_19, INITVAL_18, INITVAL_17, INITVAL_16,
        INITVAL_15, INITVAL_14, INITVAL_13, INITVAL_12, INITVAL_11, INITVAL_10, INITVAL_0F,
        INITVAL_0E, INITVAL_0D, INITVAL_0C, INITVAL_0B, INITVAL_0A, INITVAL_09, INITVAL_08,
        INITVAL_07, INITVAL_06, INITVAL_05, INITVAL_04, INITVAL_03, INITVAL_02, INITVAL_01,
        INITVAL_00
    };
    integer k;
    initial for (k = 0; k < 1024; k = k + 1) store[k] = contents[20 * k +: 18];

    // A wide port has its byte enables in the lowest bits of the address.
    wire some_a = WA == 36 ? |ad_a[3:0] : WA == 18 ? |ad_a[1:0] : 1'b1;
    wire some_b = WB == 18 ? |ad_b[1:0] : WB != 36;
    wire writes_a = CEA && WEA && some_a && !(RSTA && WA != 36);
    wire writes_b = CEB && WEB && some_b && !RSTB;

    genvar half;
    generate
        if (WA == 36) begin
            for (half = 0; half < 4; half = half + 1)
                always @(posedge clk_a) if (writes_a && ad_a[half])
                    store[a[13:4] | half / 2][9 * (half % 2) +: 9]
                        <= half < 2 ? di_a[9 * (half % 2) +: 9] : di_b[9 * (half % 2) +: 9];
        end else if (WA == 18) begin
            for (half = 0; half < 2; half = half + 1)
                always @(posedge clk_a) if (writes_a && ad_a[half])
                    store[a[13:4]][9 * half +: 9] <= di_a[9 * half +: 9];
        end else begin
            always @(posedge clk_a) if (writes_a)
                store[a[13:4]][place(a, WA) +: WA] <= di_a[WA - 1:0];
        end
        if (WB == 18) begin
            for (half = 0; half < 2; half = half + 1)
                always @(posedge clk_b) if (writes_b && ad_b[half])
                    store[b[13:4]][9 * half +: 9] <= di_b[9 * half +: 9];
        end else if (WB != 36) begin
            always @(posedge clk_b) if (writes_b)
                store[b[13:4]][place(b, WB) +: WB] <= di_b[WB - 1:0];
        end
    endgenerate

    // Whether the ports' words have a bit in common.
    localparam WIDER = WA > WB ? WA : WB;
    wire overlap = masked(a, WIDER) == masked(b, WIDER);
    wire open_a = writes_b && overlap, open_b = writes_a && overlap;

    wire clear_a = RESETMODE == "ASYNC" && RSTA, clear_b = RESETMODE == "ASYNC" && RSTB;
    reg [35:0] q_a = 0, q_b = 0;
    generate
        if (WA != 36) begin
            wire [WA - 1:0] stored = store[a[13:4]][place(a, WA) +: WA];
            always @(posedge clk_a, posedge clear_a)
                if (clear_a || RSTA) q_a <= 0;
                else if (CEA && (!WEA || WRITEMODE_A == "READBEFOREWRITE"))
                    q_a <= {{36 - WA{1'b0}}, open_a ? ~stored : stored};
        end
        if (WB != 36) begin
            wire [WB - 1:0] stored = store[b[13:4]][place(b, WB) +: WB];
            always @(posedge clk_b, posedge clear_b)
                if (clear_b || RSTB) q_b <= 0;
                else if (CEB && (!WEB || WRITEMODE_B == "READBEFOREWRITE"))
                    q_b <= {{36 - WB{1'b0}}, open_b ? ~stored : stored};
        end else begin
            wire [35:0] stored = {store[b[13:4] | 1], store[b[13:4]]};
            always @(posedge clk_b, posedge clear_b)
                if (clear_b || RSTB) q_b <= 0;
                else if (CEB) q_b <= open_b ? ~stored : stored;
        end
    endgenerate

    assign {
        DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6, DOA5, DOA4,
        DOA3, DOA2, DOA1, DOA0
    } = WB == 36 ? q_b[17:0] : q_a[17:0];
    assign {
        DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6, DOB5, DOB4,
        DOB3, DOB2, DOB1, DOB0
    } = WB == 36 ? q_b[35:18] : q_b[17:0];

    generate
        if (REGMODE_A != "NOREG" || REGMODE_B != "NOREG") DP16KD_with_output_register refused();
        if (CSDECODE_A != "0b000" || CSDECODE_B != "0b000") DP16KD_with_chip_select refused();
        if (WA != 36 && WRITEMODE_A == "WRITETHROUGH") DP16KD_with_write_through refused();
        if (WB != 36 && WRITEMODE_B == "WRITETHROUGH") DP16KD_with_write_through refused();
    endgenerate
endmodule

// A PLL is what makes the clock that the harness provides: straight through, and in lock.
module EHXPLLL #(
    parameter CLKI_DIV = 1, CLKFB_DIV = 1, FEEDBK_PATH = "CLKOP", OUTDIVIDER_MUXA = "DIVA",
    parameter OUTDIVIDER_MUXB = "DIVB", OUTDIVIDER_MUXC = "DIVC", OUTDIVIDER_MUXD = "DIVD",
    parameter CLKOP_ENABLE = "ENABLED", CLKOS_ENABLE = "DISABLED", CLKOS2_ENABLE = "DISABLED",
    parameter CLKOS3_ENABLE = "DISABLED", CLKOP_DIV = 8, CLKOS_DIV = 8, CLKOS2_DIV = 8,
    parameter CLKOS3_DIV = 8, CLKOP_CPHASE = 0, CLKOS_CPHASE = 0, CLKOS2_CPHASE = 0,
    parameter CLKOS3_CPHASE = 0, CLKOP_FPHASE = 0, CLKOS_FPHASE = 0, CLKOS2_FPHASE = 0,
    parameter CLKOS3_FPHASE = 0, CLKOP_TRIM_POL = "RISING", CLKOP_TRIM_DELAY = 0,
    parameter CLKOS_TRIM_POL = "RISING", CLKOS_TRIM_DELAY = 0, PLLRST_ENA = "DISABLED",
    parameter INTFB_WAKE = "DISABLED", STDBY_ENABLE = "DISABLED", DPHASE_SOURCE = "DISABLED",
    parameter PLL_LOCK_MODE = 0
) (
    input CLKI, CLKFB, RST, STDBY, PHASESEL1, PHASESEL0, PHASEDIR, PHASESTEP, PHASELOADREG,
    input PLLWAKESYNC, ENCLKOP, ENCLKOS, ENCLKOS2, ENCLKOS3,
    output CLKOP, CLKOS, CLKOS2, CLKOS3, LOCK, INTLOCK, REFCLK, CLKINTFB
);
    assign CLKOP = CLKI, CLKOS = CLKI, CLKINTFB = CLKI, LOCK = 1'b1;
    generate
        if (CLKOS2_ENABLE != "DISABLED" || CLKOS3_ENABLE != "DISABLED")
            EHXPLLL_with_several_clocks refused();
    endgenerate
endmodule

// Stops a clock while it is low, so that no pulse is cut short (FPGA-TN-02200).
module DCCA (
    input CLKI, CE,
    output CLKO
);
    reg enabled = 0;
    always @(negedge CLKI) enabled <= CE;
    assign CLKO = CLKI & enabled;
endmodule

// A pin. Yosys' model has a third level, which Verilator takes inside of a design but not at its
// ports; here a pin that is not driven is high, as a pull-up makes it.
module TRELLIS_IO #(
    parameter DIR = "INPUT"
) (
    inout B,
    input I, T,
    output O
);
    generate
        if (DIR == "INPUT") assign O = B;
        else if (DIR == "OUTPUT") assign B = T ? 1'b1 : I;
        else TRELLIS_IO_in_both_directions refused();
    endgenerate
endmodule
