// Block RAM of 7-series as Yosys maps memories to it (UG473): both modes, all widths and write
// modes, byte enables, no output register, no cascade, no error correction.
//
// Data and parity lie as INIT_xx and INITP_xx have them: an address counts bits of data, a byte of
// data has a bit of parity. In simple dual-port mode A reads and B writes, and the widest word has
// its upper half on the other port's pins. Where the data sheet leaves the result of a collision
// open (a port reads what the other writes, unless that one is READ_FIRST), the model gives the
// complement of what is stored, so that nothing can rely on it.

module ramb_7series #(
    parameter ADDRESS = 15,            // bits of an address
    parameter HALF = 32,               // bits of data on the pins of a port
    parameter [(1 << ADDRESS) - 1:0] INIT = 0,
    parameter [(1 << ADDRESS) / 8 - 1:0] INITP = 0,
    parameter SDP = 0,
    parameter READ_A = 0, parameter READ_B = 0, parameter WRITE_A = 0, parameter WRITE_B = 0,
    parameter MODE_A = "WRITE_FIRST", parameter MODE_B = "WRITE_FIRST",
    parameter [HALF * 9 / 8 - 1:0] INIT_A = 0, parameter [HALF * 9 / 8 - 1:0] INIT_B = 0,
    parameter [HALF * 9 / 8 - 1:0] SRVAL_A = 0, parameter [HALF * 9 / 8 - 1:0] SRVAL_B = 0
) (
    input clk_a, clk_b, en_a, en_b, rst_a, rst_b,
    input [ADDRESS - 1:0] addr_a, addr_b,
    input [HALF - 1:0] di_a, di_b,
    input [HALF / 8 - 1:0] dip_a, dip_b,
    input [HALF / 8 - 1:0] we_a,
    input [HALF / 4 - 1:0] we_b,
    output [HALF - 1:0] do_a, do_b,
    output [HALF / 8 - 1:0] dop_a, dop_b
);
    localparam WIDE = 2 * HALF;

    // Bits of data of a port with parity.
    function integer data;
        input integer width;
        data = width < 9 ? width : width / 9 * 8;
    endfunction

    localparam DRA = data(READ_A), DRB = data(READ_B), DWA = data(WRITE_A), DWB = data(WRITE_B);

    reg [255:0] store [0:(1 << ADDRESS) / 256 - 1];
    reg [255:0] parity [0:(1 << ADDRESS) / 2048 - 1];
    integer k;
    initial begin
        for (k = 0; k < (1 << ADDRESS) / 256; k = k + 1) store[k] = INIT[256 * k +: 256];
        for (k = 0; k < (1 << ADDRESS) / 2048; k = k + 1) parity[k] = INITP[256 * k +: 256];
    end

    // The first bit of the word at an address.
    function [ADDRESS - 1:0] base;
        input [ADDRESS - 1:0] address;
        input integer bits;
        base = address & ~(bits - 1);
    endfunction

    // Byte enables, one for each byte or part of one.
    wire [WIDE / 8 - 1:0] enable_a = {{WIDE / 8 - HALF / 8{1'b0}}, we_a};
    wire [WIDE / 8 - 1:0] enable_b = we_b;
    wire [WIDE - 1:0] data_a = {{HALF{1'b0}}, di_a};
    wire [WIDE / 8 - 1:0] parity_a = {{HALF / 8{1'b0}}, dip_a};
    wire [WIDE - 1:0] data_b = SDP && DWB == WIDE ? {di_b, di_a} : {{HALF{1'b0}}, di_b};
    wire [WIDE / 8 - 1:0] parity_b = SDP && DWB == WIDE ? {dip_b, dip_a}
                                                        : {{HALF / 8{1'b0}}, dip_b};
    wire writes_a = en_a && WRITE_A != 0 && |we_a;
    wire writes_b = en_b && WRITE_B != 0 && |we_b;

    wire [ADDRESS - 1:0] ra = base(addr_a, DRA), rb = base(addr_b, DRB);
    wire [ADDRESS - 1:0] wa = base(addr_a, DWA), wb = base(addr_b, DWB);

    genvar byte_;
    generate
        if (WRITE_A != 0 && DWA < 8) begin
            always @(posedge clk_a) if (writes_a)
                store[wa[ADDRESS - 1:8]][wa[7:0] +: DWA] <= data_a[DWA - 1:0];
        end else if (WRITE_A != 0) begin
            for (byte_ = 0; byte_ < DWA / 8; byte_ = byte_ + 1)
                always @(posedge clk_a) if (writes_a && enable_a[byte_]) begin
                    store[wa[ADDRESS - 1:8]][wa[7:0] + 8 * byte_ +: 8] <= data_a[8 * byte_ +: 8];
                    parity[wa[ADDRESS - 1:11]][wa[10:3] + byte_] <= parity_a[byte_];
                end
        end
        if (WRITE_B != 0 && DWB < 8) begin
            always @(posedge clk_b) if (writes_b)
                store[wb[ADDRESS - 1:8]][wb[7:0] +: DWB] <= data_b[DWB - 1:0];
        end else if (WRITE_B != 0) begin
            for (byte_ = 0; byte_ < DWB / 8; byte_ = byte_ + 1)
                always @(posedge clk_b) if (writes_b && enable_b[byte_]) begin
                    store[wb[ADDRESS - 1:8]][wb[7:0] + 8 * byte_ +: 8] <= data_b[8 * byte_ +: 8];
                    parity[wb[ADDRESS - 1:11]][wb[10:3] + byte_] <= parity_b[byte_];
                end
        end
    endgenerate

    // Whether two words have a bit in common.
    function overlap;
        input [ADDRESS - 1:0] first, second;
        input integer bits, others;
        overlap = base(first, bits > others ? bits : others)
                  == base(second, bits > others ? bits : others);
    endfunction

    wire open_a = writes_b && MODE_B != "READ_FIRST" && overlap(addr_a, addr_b, DRA, DWB);
    wire open_b = writes_a && MODE_A != "READ_FIRST" && overlap(addr_b, addr_a, DRB, DWA);

    reg [WIDE - 1:0] q_a;
    reg [WIDE / 8 - 1:0] p_a;
    reg [HALF - 1:0] q_b;
    reg [HALF / 8 - 1:0] p_b;
    initial begin
        q_a = {INIT_B[HALF - 1:0], INIT_A[HALF - 1:0]};
        p_a = {INIT_B[HALF +: HALF / 8], INIT_A[HALF +: HALF / 8]};
        q_b = INIT_B[HALF - 1:0];
        p_b = INIT_B[HALF +: HALF / 8];
    end

    generate
        if (READ_A != 0) begin
            wire [DRA - 1:0] stored = store[ra[ADDRESS - 1:8]][ra[7:0] +: DRA];
            wire [WIDE / 8 - 1:0] spare;
            if (DRA < 8) assign spare = 0;
            else assign spare = {{WIDE / 8 - DRA / 8{1'b0}},
                                 parity[ra[ADDRESS - 1:11]][ra[10:3] +: DRA / 8]};
            always @(posedge clk_a) if (en_a) begin
                if (rst_a) begin
                    q_a <= {SRVAL_B[HALF - 1:0], SRVAL_A[HALF - 1:0]};
                    p_a <= {SRVAL_B[HALF +: HALF / 8], SRVAL_A[HALF +: HALF / 8]};
                end else if (!writes_a || MODE_A == "READ_FIRST") begin
                    q_a <= {{WIDE - DRA{1'b0}}, open_a ? ~stored : stored};
                    p_a <= open_a ? ~spare : spare;
                end
            end
        end
        if (READ_B != 0) begin
            wire [DRB - 1:0] stored = store[rb[ADDRESS - 1:8]][rb[7:0] +: DRB];
            wire [HALF / 8 - 1:0] spare;
            if (DRB < 8) assign spare = 0;
            else assign spare = {{HALF / 8 - DRB / 8{1'b0}},
                                 parity[rb[ADDRESS - 1:11]][rb[10:3] +: DRB / 8]};
            always @(posedge clk_b) if (en_b) begin
                if (rst_b) begin
                    q_b <= SRVAL_B[HALF - 1:0];
                    p_b <= SRVAL_B[HALF +: HALF / 8];
                end else if (!writes_b || MODE_B == "READ_FIRST") begin
                    q_b <= {{HALF - DRB{1'b0}}, open_b ? ~stored : stored};
                    p_b <= open_b ? ~spare : spare;
                end
            end
        end
    endgenerate

    assign do_a = q_a[HALF - 1:0], dop_a = p_a[HALF / 8 - 1:0];
    assign do_b = SDP ? q_a[WIDE - 1:HALF] : q_b, dop_b = SDP ? p_a[WIDE / 8 - 1:HALF / 8] : p_b;

    generate
        if (SDP && (WRITE_A != 0 || READ_B != 0)) simple_dual_port_with_other_ports refused();
        if (READ_A != 0 && WRITE_A != 0 && MODE_A == "WRITE_FIRST")
            port_that_reads_what_it_writes refused();
        if (READ_B != 0 && WRITE_B != 0 && MODE_B == "WRITE_FIRST")
            port_that_reads_what_it_writes refused();
    endgenerate
endmodule

module RAMB18E1 #(
    parameter RAM_MODE = "TDP", RDADDR_COLLISION_HWCONFIG = "DELAYED_WRITE", SIM_DEVICE = "",
    parameter SIM_COLLISION_CHECK = "", INIT_FILE = "NONE",
    parameter RSTREG_PRIORITY_A = "RSTREG", RSTREG_PRIORITY_B = "RSTREG",
    parameter DOA_REG = 0, DOB_REG = 0,
    parameter READ_WIDTH_A = 0, READ_WIDTH_B = 0, WRITE_WIDTH_A = 0, WRITE_WIDTH_B = 0,
    parameter WRITE_MODE_A = "WRITE_FIRST", WRITE_MODE_B = "WRITE_FIRST",
    parameter [17:0] INIT_A = 0, INIT_B = 0, SRVAL_A = 0, SRVAL_B = 0,
    parameter IS_CLKARDCLK_INVERTED = 0, IS_CLKBWRCLK_INVERTED = 0,
    parameter IS_ENARDEN_INVERTED = 0, IS_ENBWREN_INVERTED = 0,
    parameter IS_RSTRAMARSTRAM_INVERTED = 0, IS_RSTRAMB_INVERTED = 0,
    parameter IS_RSTREGARSTREG_INVERTED = 0, IS_RSTREGB_INVERTED = 0,
    parameter [255:0]
        INIT_00 = 0, INIT_01 = 0, INIT_02 = 0, INIT_03 = 0, INIT_04 = 0, INIT_05 = 0, INIT_06 = 0,
        INIT_07 = 0, INIT_08 = 0, INIT_09 = 0, INIT_0A = 0, INIT_0B = 0, INIT_0C = 0, INIT_0D = 0,
        INIT_0E = 0, INIT_0F = 0, INIT_10 = 0, INIT_11 = 0, INIT_12 = 0, INIT_13 = 0, INIT_14 = 0,
        INIT_15 = 0, INIT_16 = 0, INIT_17 = 0, INIT_18 = 0, INIT_19 = 0, INIT_1A = 0, INIT_1B = 0,
        INIT_1C = 0, INIT_1D = 0, INIT_1E = 0, INIT_1F = 0, INIT_20 = 0, INIT_21 = 0, INIT_22 = 0,
        INIT_23 = 0, INIT_24 = 0, INIT_25 = 0, INIT_26 = 0, INIT_27 = 0, INIT_28 = 0, INIT_29 = 0,
        INIT_2A = 0, INIT_2B = 0, INIT_2C = 0, INIT_2D = 0, INIT_2E = 0, INIT_2F = 0, INIT_30 = 0,
        INIT_31 = 0, INIT_32 = 0, INIT_33 = 0, INIT_34 = 0, INIT_35 = 0, INIT_36 = 0, INIT_37 = 0,
        INIT_38 = 0, INIT_39 = 0, INIT_3A = 0, INIT_3B = 0, INIT_3C = 0, INIT_3D = 0, INIT_3E = 0,
        INIT_3F = 0, INITP_00 = 0, INITP_01 = 0, INITP_02 = 0, INITP_03 = 0, INITP_04 = 0,
        INITP_05 = 0, INITP_06 = 0, INITP_07 = 0
) (
    input CLKARDCLK, CLKBWRCLK, ENARDEN, ENBWREN, REGCEAREGCE, REGCEB,
    input RSTRAMARSTRAM, RSTRAMB, RSTREGARSTREG, RSTREGB,
    input [13:0] ADDRARDADDR, ADDRBWRADDR,
    input [15:0] DIADI, DIBDI,
    input [1:0] DIPADIP, DIPBDIP,
    input [1:0] WEA,
    input [3:0] WEBWE,
    output [15:0] DOADO, DOBDO,
    output [1:0] DOPADOP, DOPBDOP
);
    ramb_7series #(
        .ADDRESS(14), .HALF(16), .SDP(RAM_MODE == "SDP"),
        .READ_A(READ_WIDTH_A), .READ_B(READ_WIDTH_B),
        .WRITE_A(WRITE_WIDTH_A), .WRITE_B(WRITE_WIDTH_B),
        .MODE_A(WRITE_MODE_A), .MODE_B(WRITE_MODE_B),
        .INIT_A(INIT_A), .INIT_B(INIT_B), .SRVAL_A(SRVAL_A), .SRVAL_B(SRVAL_B),
        .INITP({
            INITP_07, INITP_06, INITP_05, INITP_04, INITP_03, INITP_02, INITP_01, INITP_00
        }),
        .INIT({
            INIT_3F, INIT_3E, INIT_3D, INIT_3C, INIT_3B, INIT_3A, INIT_39, INIT_38, INIT_37,
            INIT_36, INIT_35, INIT_34, INIT_33, INIT_32, INIT_31, INIT_30, INIT_2F, INIT_2E,
            INIT_2D, INIT_2C, INIT_2B, INIT_2A, INIT_29, INIT_28, INIT_27, INIT_26, INIT_25,
            INIT_24, INIT_23, INIT_22, INIT_21, INIT_20, INIT_1F, INIT_1E, INIT_1D, INIT_1C,
            INIT_1B, INIT_1A, INIT_19, INIT_18, INIT_17, INIT_16, INIT_15, INIT_14, INIT_13,
            INIT_12, INIT_11, INIT_10, INIT_0F, INIT_0E, INIT_0D, INIT_0C, INIT_0B, INIT_0A,
            INIT_09, INIT_08, INIT_07, INIT_06, INIT_05, INIT_04, INIT_03, INIT_02, INIT_01,
            INIT_00
        })
    ) ram (
        .clk_a(CLKARDCLK ^ IS_CLKARDCLK_INVERTED), .clk_b(CLKBWRCLK ^ IS_CLKBWRCLK_INVERTED),
        .en_a(ENARDEN ^ IS_ENARDEN_INVERTED), .en_b(ENBWREN ^ IS_ENBWREN_INVERTED),
        .rst_a(RSTRAMARSTRAM ^ IS_RSTRAMARSTRAM_INVERTED), .rst_b(RSTRAMB ^ IS_RSTRAMB_INVERTED),
        .addr_a(ADDRARDADDR[13:0]), .addr_b(ADDRBWRADDR[13:0]),
        .di_a(DIADI), .di_b(DIBDI), .dip_a(DIPADIP), .dip_b(DIPBDIP), .we_a(WEA), .we_b(WEBWE),
        .do_a(DOADO), .do_b(DOBDO), .dop_a(DOPADOP), .dop_b(DOPBDOP)
    );
    generate
        if (DOA_REG != 0 || DOB_REG != 0) RAMB18E1_with_output_register refused();
    endgenerate
endmodule

module RAMB36E1 #(
    parameter RAM_MODE = "TDP", RDADDR_COLLISION_HWCONFIG = "DELAYED_WRITE", SIM_DEVICE = "",
    parameter SIM_COLLISION_CHECK = "", INIT_FILE = "NONE",
    parameter RSTREG_PRIORITY_A = "RSTREG", RSTREG_PRIORITY_B = "RSTREG",
    parameter DOA_REG = 0, DOB_REG = 0,
    parameter EN_ECC_READ = "FALSE", EN_ECC_WRITE = "FALSE",
    parameter RAM_EXTENSION_A = "NONE", RAM_EXTENSION_B = "NONE",
    parameter READ_WIDTH_A = 0, READ_WIDTH_B = 0, WRITE_WIDTH_A = 0, WRITE_WIDTH_B = 0,
    parameter WRITE_MODE_A = "WRITE_FIRST", WRITE_MODE_B = "WRITE_FIRST",
    parameter [35:0] INIT_A = 0, INIT_B = 0, SRVAL_A = 0, SRVAL_B = 0,
    parameter IS_CLKARDCLK_INVERTED = 0, IS_CLKBWRCLK_INVERTED = 0,
    parameter IS_ENARDEN_INVERTED = 0, IS_ENBWREN_INVERTED = 0,
    parameter IS_RSTRAMARSTRAM_INVERTED = 0, IS_RSTRAMB_INVERTED = 0,
    parameter IS_RSTREGARSTREG_INVERTED = 0, IS_RSTREGB_INVERTED = 0,
    parameter [255:0]
        INIT_00 = 0, INIT_01 = 0, INIT_02 = 0, INIT_03 = 0, INIT_04 = 0, INIT_05 = 0, INIT_06 = 0,
        INIT_07 = 0, INIT_08 = 0, INIT_09 = 0, INIT_0A = 0, INIT_0B = 0, INIT_0C = 0, INIT_0D = 0,
        INIT_0E = 0, INIT_0F = 0, INIT_10 = 0, INIT_11 = 0, INIT_12 = 0, INIT_13 = 0, INIT_14 = 0,
        INIT_15 = 0, INIT_16 = 0, INIT_17 = 0, INIT_18 = 0, INIT_19 = 0, INIT_1A = 0, INIT_1B = 0,
        INIT_1C = 0, INIT_1D = 0, INIT_1E = 0, INIT_1F = 0, INIT_20 = 0, INIT_21 = 0, INIT_22 = 0,
        INIT_23 = 0, INIT_24 = 0, INIT_25 = 0, INIT_26 = 0, INIT_27 = 0, INIT_28 = 0, INIT_29 = 0,
        INIT_2A = 0, INIT_2B = 0, INIT_2C = 0, INIT_2D = 0, INIT_2E = 0, INIT_2F = 0, INIT_30 = 0,
        INIT_31 = 0, INIT_32 = 0, INIT_33 = 0, INIT_34 = 0, INIT_35 = 0, INIT_36 = 0, INIT_37 = 0,
        INIT_38 = 0, INIT_39 = 0, INIT_3A = 0, INIT_3B = 0, INIT_3C = 0, INIT_3D = 0, INIT_3E = 0,
        INIT_3F = 0, INIT_40 = 0, INIT_41 = 0, INIT_42 = 0, INIT_43 = 0, INIT_44 = 0, INIT_45 = 0,
        INIT_46 = 0, INIT_47 = 0, INIT_48 = 0, INIT_49 = 0, INIT_4A = 0, INIT_4B = 0, INIT_4C = 0,
        INIT_4D = 0, INIT_4E = 0, INIT_4F = 0, INIT_50 = 0, INIT_51 = 0, INIT_52 = 0, INIT_53 = 0,
        INIT_54 = 0, INIT_55 = 0, INIT_56 = 0, INIT_57 = 0, INIT_58 = 0, INIT_59 = 0, INIT_5A = 0,
        INIT_5B = 0, INIT_5C = 0, INIT_5D = 0, INIT_5E = 0, INIT_5F = 0, INIT_60 = 0, INIT_61 = 0,
        INIT_62 = 0, INIT_63 = 0, INIT_64 = 0, INIT_65 = 0, INIT_66 = 0, INIT_67 = 0, INIT_68 = 0,
        INIT_69 = 0, INIT_6A = 0, INIT_6B = 0, INIT_6C = 0, INIT_6D = 0, INIT_6E = 0, INIT_6F = 0,
        INIT_70 = 0, INIT_71 = 0, INIT_72 = 0, INIT_73 = 0, INIT_74 = 0, INIT_75 = 0, INIT_76 = 0,
        INIT_77 = 0, INIT_78 = 0, INIT_79 = 0, INIT_7A = 0, INIT_7B = 0, INIT_7C = 0, INIT_7D = 0,
        INIT_7E = 0, INIT_7F = 0, INITP_00 = 0, INITP_01 = 0, INITP_02 = 0, INITP_03 = 0,
        INITP_04 = 0, INITP_05 = 0, INITP_06 = 0, INITP_07 = 0, INITP_08 = 0, INITP_09 = 0,
        INITP_0A = 0, INITP_0B = 0, INITP_0C = 0, INITP_0D = 0, INITP_0E = 0, INITP_0F = 0
) (
    input CLKARDCLK, CLKBWRCLK, ENARDEN, ENBWREN, REGCEAREGCE, REGCEB,
    input RSTRAMARSTRAM, RSTRAMB, RSTREGARSTREG, RSTREGB,
    input CASCADEINA, CASCADEINB, INJECTDBITERR, INJECTSBITERR,
    input [15:0] ADDRARDADDR, ADDRBWRADDR,
    input [31:0] DIADI, DIBDI,
    input [3:0] DIPADIP, DIPBDIP,
    input [3:0] WEA,
    input [7:0] WEBWE,
    output CASCADEOUTA, CASCADEOUTB, SBITERR, DBITERR,
    output [7:0] ECCPARITY,
    output [8:0] RDADDRECC,
    output [31:0] DOADO, DOBDO,
    output [3:0] DOPADOP, DOPBDOP
);
    ramb_7series #(
        .ADDRESS(15), .HALF(32), .SDP(RAM_MODE == "SDP"),
        .READ_A(READ_WIDTH_A), .READ_B(READ_WIDTH_B),
        .WRITE_A(WRITE_WIDTH_A), .WRITE_B(WRITE_WIDTH_B),
        .MODE_A(WRITE_MODE_A), .MODE_B(WRITE_MODE_B),
        .INIT_A(INIT_A), .INIT_B(INIT_B), .SRVAL_A(SRVAL_A), .SRVAL_B(SRVAL_B),
        .INITP({
            INITP_0F, INITP_0E, INITP_0D, INITP_0C, INITP_0B, INITP_0A, INITP_09, INITP_08,
            INITP_07, INITP_06, INITP_05, INITP_04, INITP_03, INITP_02, INITP_01, INITP_00
        }),
        .INIT({
            INIT_7F, INIT_7E, INIT_7D, INIT_7C, INIT_7B, INIT_7A, INIT_79, INIT_78, INIT_77,
            INIT_76, INIT_75, INIT_74, INIT_73, INIT_72, INIT_71, INIT_70, INIT_6F, INIT_6E,
            INIT_6D, INIT_6C, INIT_6B, INIT_6A, INIT_69, INIT_68, INIT_67, INIT_66, INIT_65,
            INIT_64, INIT_63, INIT_62, INIT_61, INIT_60, INIT_5F, INIT_5E, INIT_5D, INIT_5C,
            INIT_5B, INIT_5A, INIT_59, INIT_58, INIT_57, INIT_56, INIT_55, INIT_54, INIT_53,
            INIT_52, INIT_51, INIT_50, INIT_4F, INIT_4E, INIT_4D, INIT_4C, INIT_4B, INIT_4A,
            INIT_49, INIT_48, INIT_47, INIT_46, INIT_45, INIT_44, INIT_43, INIT_42, INIT_41,
            INIT_40, INIT_3F, INIT_3E, INIT_3D, INIT_3C, INIT_3B, INIT_3A, INIT_39, INIT_38,
            INIT_37, INIT_36, INIT_35, INIT_34, INIT_33, INIT_32, INIT_31, INIT_30, INIT_2F,
            INIT_2E, INIT_2D, INIT_2C, INIT_2B, INIT_2A, INIT_29, INIT_28, INIT_27, INIT_26,
            INIT_25, INIT_24, INIT_23, INIT_22, INIT_21, INIT_20, INIT_1F, INIT_1E, INIT_1D,
            INIT_1C, INIT_1B, INIT_1A, INIT_19, INIT_18, INIT_17, INIT_16, INIT_15, INIT_14,
            INIT_13, INIT_12, INIT_11, INIT_10, INIT_0F, INIT_0E, INIT_0D, INIT_0C, INIT_0B,
            INIT_0A, INIT_09, INIT_08, INIT_07, INIT_06, INIT_05, INIT_04, INIT_03, INIT_02,
            INIT_01, INIT_00
        })
    ) ram (
        .clk_a(CLKARDCLK ^ IS_CLKARDCLK_INVERTED), .clk_b(CLKBWRCLK ^ IS_CLKBWRCLK_INVERTED),
        .en_a(ENARDEN ^ IS_ENARDEN_INVERTED), .en_b(ENBWREN ^ IS_ENBWREN_INVERTED),
        .rst_a(RSTRAMARSTRAM ^ IS_RSTRAMARSTRAM_INVERTED), .rst_b(RSTRAMB ^ IS_RSTRAMB_INVERTED),
        .addr_a(ADDRARDADDR[14:0]), .addr_b(ADDRBWRADDR[14:0]),
        .di_a(DIADI), .di_b(DIBDI), .dip_a(DIPADIP), .dip_b(DIPBDIP), .we_a(WEA), .we_b(WEBWE),
        .do_a(DOADO), .do_b(DOBDO), .dop_a(DOPADOP), .dop_b(DOPBDOP)
    );
    generate
        if (DOA_REG != 0 || DOB_REG != 0) RAMB36E1_with_output_register refused();
        if (RAM_EXTENSION_A != "NONE" || RAM_EXTENSION_B != "NONE") RAMB36E1_in_cascade refused();
        if (EN_ECC_READ != "FALSE" || EN_ECC_WRITE != "FALSE")
            RAMB36E1_with_error_correction refused();
    endgenerate
endmodule

// A PLL is what makes the clock that the harness provides: straight through, and in lock.
module PLLE2_BASE #(
    parameter BANDWIDTH = "", CLKFBOUT_MULT = 5, CLKFBOUT_PHASE = 0.0, CLKIN1_PERIOD = 0.0,
    parameter CLKOUT0_DIVIDE = 1, CLKOUT0_DUTY_CYCLE = 0.5, CLKOUT0_PHASE = 0.0,
    parameter DIVCLK_DIVIDE = 1, REF_JITTER1 = 0.01, STARTUP_WAIT = "FALSE"
) (
    input CLKIN1, CLKFBIN, RST, PWRDWN,
    output CLKFBOUT, CLKOUT0, CLKOUT1, CLKOUT2, CLKOUT3, CLKOUT4, CLKOUT5, LOCKED
);
    assign CLKFBOUT = CLKIN1, CLKOUT0 = CLKIN1, LOCKED = 1'b1;
endmodule

module IBUFDS #(
    parameter DIFF_TERM = "", IBUF_LOW_PWR = "", IOSTANDARD = "", CAPACITANCE = "", DQS_BIAS = "",
    parameter IBUF_DELAY_VALUE = "", IFD_DELAY_VALUE = ""
) (
    input I, IB,
    output O
);
    assign O = I;
endmodule
