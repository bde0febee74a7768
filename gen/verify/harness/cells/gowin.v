// Block RAM of Gowin devices as the boards' synthesis maps memories to it (UG285): a port that
// writes and a port that reads, all widths, byte enables, no output register.
//
// Bytes of 8 or 9 bits lie as INIT_RAM_xx has them; an address counts bits, eight a byte, and the
// lowest of it are the byte enables of a wide port. Where the data sheet leaves open what is read,
// because it is being written, the model gives the complement of what is stored, so that nothing
// can rely on it.

module bsram_gowin #(
    parameter UNIT = 8, WRITE = 8, READ = 8,
    parameter [UNIT * 2048 - 1:0] INIT = 0
) (
    input clk_a, ce_a, clk_b, ce_b, reset, clear,
    input [13:0] ad_a, ad_b,
    input [4 * UNIT - 1:0] di,
    output reg [4 * UNIT - 1:0] q
);
    localparam WRITTEN = WRITE / UNIT, BYTES = READ / UNIT, WIDER = WRITE > READ ? WRITE : READ;
    localparam [13:0] WITHIN = WIDER >= UNIT ? 8 * (WIDER / UNIT) - 1 : WIDER - 1;

    reg [UNIT - 1:0] store [0:2047];
    integer k;
    initial begin
        for (k = 0; k < 2048; k = k + 1) store[k] = INIT[UNIT * k +: UNIT];
        q = 0;
    end

    wire writes;
    wire [READ - 1:0] word;
    genvar n;
    generate
        if (WRITTEN > 1) begin
            assign writes = ce_a && |ad_a[WRITTEN - 1:0];
            for (n = 0; n < WRITTEN; n = n + 1)
                always @(posedge clk_a) if (ce_a && ad_a[n])
                    store[ad_a[13:3] & ~(WRITTEN - 1) | n] <= di[UNIT * n +: UNIT];
        end else if (WRITTEN == 1) begin
            assign writes = ce_a;
            always @(posedge clk_a) if (ce_a) store[ad_a[13:3]] <= di[UNIT - 1:0];
        end else begin
            assign writes = ce_a;
            always @(posedge clk_a) if (ce_a)
                store[ad_a[13:3]][(ad_a[2:0] & ~(WRITE - 1)) +: WRITE] <= di[WRITE - 1:0];
        end
        if (BYTES > 0) begin
            for (n = 0; n < BYTES; n = n + 1)
                assign word[UNIT * n +: UNIT] = store[ad_b[13:3] & ~(BYTES - 1) | n];
        end else begin
            assign word = store[ad_b[13:3]][(ad_b[2:0] & ~(READ - 1)) +: READ];
        end
    endgenerate

    wire open = writes && (ad_a & ~WITHIN) == (ad_b & ~WITHIN);
    always @(posedge clk_b, posedge clear)
        if (clear || reset) q <= 0;
        else if (ce_b) q <= open ? ~word : word;
endmodule

module SDPB #(
    parameter READ_MODE = 0, BIT_WIDTH_0 = 32, BIT_WIDTH_1 = 32, RESET_MODE = "SYNC",
    parameter [2:0] BLK_SEL_0 = 0, BLK_SEL_1 = 0,
    parameter [255:0]
        INIT_RAM_00 = 0, INIT_RAM_01 = 0, INIT_RAM_02 = 0, INIT_RAM_03 = 0, INIT_RAM_04 = 0,
        INIT_RAM_05 = 0, INIT_RAM_06 = 0, INIT_RAM_07 = 0, INIT_RAM_08 = 0, INIT_RAM_09 = 0,
        INIT_RAM_0A = 0, INIT_RAM_0B = 0, INIT_RAM_0C = 0, INIT_RAM_0D = 0, INIT_RAM_0E = 0,
        INIT_RAM_0F = 0, INIT_RAM_10 = 0, INIT_RAM_11 = 0, INIT_RAM_12 = 0, INIT_RAM_13 = 0,
        INIT_RAM_14 = 0, INIT_RAM_15 = 0, INIT_RAM_16 = 0, INIT_RAM_17 = 0, INIT_RAM_18 = 0,
        INIT_RAM_19 = 0, INIT_RAM_1A = 0, INIT_RAM_1B = 0, INIT_RAM_1C = 0, INIT_RAM_1D = 0,
        INIT_RAM_1E = 0, INIT_RAM_1F = 0, INIT_RAM_20 = 0, INIT_RAM_21 = 0, INIT_RAM_22 = 0,
        INIT_RAM_23 = 0, INIT_RAM_24 = 0, INIT_RAM_25 = 0, INIT_RAM_26 = 0, INIT_RAM_27 = 0,
        INIT_RAM_28 = 0, INIT_RAM_29 = 0, INIT_RAM_2A = 0, INIT_RAM_2B = 0, INIT_RAM_2C = 0,
        INIT_RAM_2D = 0, INIT_RAM_2E = 0, INIT_RAM_2F = 0, INIT_RAM_30 = 0, INIT_RAM_31 = 0,
        INIT_RAM_32 = 0, INIT_RAM_33 = 0, INIT_RAM_34 = 0, INIT_RAM_35 = 0, INIT_RAM_36 = 0,
        INIT_RAM_37 = 0, INIT_RAM_38 = 0, INIT_RAM_39 = 0, INIT_RAM_3A = 0, INIT_RAM_3B = 0,
        INIT_RAM_3C = 0, INIT_RAM_3D = 0, INIT_RAM_3E = 0, INIT_RAM_3F = 0
) (
    input CLKA, CEA, RESETA, CLKB, CEB, RESETB, OCE,
    input [2:0] BLKSELA, BLKSELB,
    input [13:0] ADA, ADB,
    input [31:0] DI,
    output [31:0] DO
);
    bsram_gowin #(
        .UNIT(8), .WRITE(BIT_WIDTH_0), .READ(BIT_WIDTH_1),
        .INIT({
            INIT_RAM_3F, INIT_RAM_3E, INIT_RAM_3D, INIT_RAM_3C, INIT_RAM_3B, INIT_RAM_3A,
            INIT_RAM_39, INIT_RAM_38, INIT_RAM_37, INIT_RAM_36, INIT_RAM_35, INIT_RAM_34,
            INIT_RAM_33, INIT_RAM_32, INIT_RAM_31, INIT_RAM_30, INIT_RAM_2F, INIT_RAM_2E,
            INIT_RAM_2D, INIT_RAM_2C, INIT_RAM_2B, INIT_RAM_2A, INIT_RAM_29, INIT_RAM_28,
            INIT_RAM_27, INIT_RAM_26, INIT_RAM_25, INIT_RAM_24, INIT_RAM_23, INIT_RAM_22,
            INIT_RAM_21, INIT_RAM_20, INIT_RAM_1F, INIT_RAM_1E, INIT_RAM_1D, INIT_RAM_1C,
            INIT_RAM_1B, INIT_RAM_1A, INIT_RAM_19, INIT_RAM_18, INIT_RAM_17, INIT_RAM_16,
            INIT_RAM_15, INIT_RAM_14, INIT_RAM_13, INIT_RAM_12, INIT_RAM_11, INIT_RAM_10,
            INIT_RAM_0F, INIT_RAM_0E, INIT_RAM_0D, INIT_RAM_0C, INIT_RAM_0B, INIT_RAM_0A,
            INIT_RAM_09, INIT_RAM_08, INIT_RAM_07, INIT_RAM_06, INIT_RAM_05, INIT_RAM_04,
            INIT_RAM_03, INIT_RAM_02, INIT_RAM_01, INIT_RAM_00
        })
    ) ram (
        .clk_a(CLKA), .ce_a(CEA), .clk_b(CLKB), .ce_b(CEB),
        .reset(RESETB), .clear(RESETB && RESET_MODE == "ASYNC"),
        .ad_a(ADA), .ad_b(ADB), .di(DI), .q(DO)
    );
    generate
        if (READ_MODE != 0) SDPB_with_output_register refused();
        if (BLK_SEL_0 != 0 || BLK_SEL_1 != 0) SDPB_with_block_select refused();
    endgenerate
endmodule

module SDPX9B #(
    parameter READ_MODE = 0, BIT_WIDTH_0 = 36, BIT_WIDTH_1 = 36, RESET_MODE = "SYNC",
    parameter [2:0] BLK_SEL_0 = 0, BLK_SEL_1 = 0,
    parameter [287:0]
        INIT_RAM_00 = 0, INIT_RAM_01 = 0, INIT_RAM_02 = 0, INIT_RAM_03 = 0, INIT_RAM_04 = 0,
        INIT_RAM_05 = 0, INIT_RAM_06 = 0, INIT_RAM_07 = 0, INIT_RAM_08 = 0, INIT_RAM_09 = 0,
        INIT_RAM_0A = 0, INIT_RAM_0B = 0, INIT_RAM_0C = 0, INIT_RAM_0D = 0, INIT_RAM_0E = 0,
        INIT_RAM_0F = 0, INIT_RAM_10 = 0, INIT_RAM_11 = 0, INIT_RAM_12 = 0, INIT_RAM_13 = 0,
        INIT_RAM_14 = 0, INIT_RAM_15 = 0, INIT_RAM_16 = 0, INIT_RAM_17 = 0, INIT_RAM_18 = 0,
        INIT_RAM_19 = 0, INIT_RAM_1A = 0, INIT_RAM_1B = 0, INIT_RAM_1C = 0, INIT_RAM_1D = 0,
        INIT_RAM_1E = 0, INIT_RAM_1F = 0, INIT_RAM_20 = 0, INIT_RAM_21 = 0, INIT_RAM_22 = 0,
        INIT_RAM_23 = 0, INIT_RAM_24 = 0, INIT_RAM_25 = 0, INIT_RAM_26 = 0, INIT_RAM_27 = 0,
        INIT_RAM_28 = 0, INIT_RAM_29 = 0, INIT_RAM_2A = 0, INIT_RAM_2B = 0, INIT_RAM_2C = 0,
        INIT_RAM_2D = 0, INIT_RAM_2E = 0, INIT_RAM_2F = 0, INIT_RAM_30 = 0, INIT_RAM_31 = 0,
        INIT_RAM_32 = 0, INIT_RAM_33 = 0, INIT_RAM_34 = 0, INIT_RAM_35 = 0, INIT_RAM_36 = 0,
        INIT_RAM_37 = 0, INIT_RAM_38 = 0, INIT_RAM_39 = 0, INIT_RAM_3A = 0, INIT_RAM_3B = 0,
        INIT_RAM_3C = 0, INIT_RAM_3D = 0, INIT_RAM_3E = 0, INIT_RAM_3F = 0
) (
    input CLKA, CEA, RESETA, CLKB, CEB, RESETB, OCE,
    input [2:0] BLKSELA, BLKSELB,
    input [13:0] ADA, ADB,
    input [35:0] DI,
    output [35:0] DO
);
    bsram_gowin #(
        .UNIT(9), .WRITE(BIT_WIDTH_0), .READ(BIT_WIDTH_1),
        .INIT({
            INIT_RAM_3F, INIT_RAM_3E, INIT_RAM_3D, INIT_RAM_3C, INIT_RAM_3B, INIT_RAM_3A,
            INIT_RAM_39, INIT_RAM_38, INIT_RAM_37, INIT_RAM_36, INIT_RAM_35, INIT_RAM_34,
            INIT_RAM_33, INIT_RAM_32, INIT_RAM_31, INIT_RAM_30, INIT_RAM_2F, INIT_RAM_2E,
            INIT_RAM_2D, INIT_RAM_2C, INIT_RAM_2B, INIT_RAM_2A, INIT_RAM_29, INIT_RAM_28,
            INIT_RAM_27, INIT_RAM_26, INIT_RAM_25, INIT_RAM_24, INIT_RAM_23, INIT_RAM_22,
            INIT_RAM_21, INIT_RAM_20, INIT_RAM_1F, INIT_RAM_1E, INIT_RAM_1D, INIT_RAM_1C,
            INIT_RAM_1B, INIT_RAM_1A, INIT_RAM_19, INIT_RAM_18, INIT_RAM_17, INIT_RAM_16,
            INIT_RAM_15, INIT_RAM_14, INIT_RAM_13, INIT_RAM_12, INIT_RAM_11, INIT_RAM_10,
            INIT_RAM_0F, INIT_RAM_0E, INIT_RAM_0D, INIT_RAM_0C, INIT_RAM_0B, INIT_RAM_0A,
            INIT_RAM_09, INIT_RAM_08, INIT_RAM_07, INIT_RAM_06, INIT_RAM_05, INIT_RAM_04,
            INIT_RAM_03, INIT_RAM_02, INIT_RAM_01, INIT_RAM_00
        })
    ) ram (
        .clk_a(CLKA), .ce_a(CEA), .clk_b(CLKB), .ce_b(CEB),
        .reset(RESETB), .clear(RESETB && RESET_MODE == "ASYNC"),
        .ad_a(ADA), .ad_b(ADB), .di(DI), .q(DO)
    );
    generate
        if (READ_MODE != 0) SDPX9B_with_output_register refused();
        if (BLK_SEL_0 != 0 || BLK_SEL_1 != 0) SDPX9B_with_block_select refused();
    endgenerate
endmodule

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
