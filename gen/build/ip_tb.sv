// Plays samples to the module and compares its answers, with random pauses on both sides.
//
// Each sample goes three times: as it is, a word shorter (or longer, if it has one word), and a
// word longer. The last two are answered by a word with `tuser`. Made by `python -m gen ip`.
`include "ip_vectors.svh"

module tb;
  localparam PACKETS = 3 * `SAMPLES;

  reg clk = 0, rst = 1;
  always #5 clk = ~clk;
  initial begin
    repeat (4) @(negedge clk);
    rst = 0;
  end

  reg [31:0] samples [0:`SAMPLES * `SAMPLE_WORDS - 1];
  reg [31:0] answers [0:`SAMPLES * `ANSWER_WORDS - 1];
  initial begin
    $readmemh("ip_samples.mem", samples);
    $readmemh("ip_answers.mem", answers);
  end

  reg [31:0] s_tdata;
  reg s_tvalid, s_tlast, m_tready;
  wire [31:0] m_tdata;
  wire s_tready, m_tvalid, m_tlast, m_tuser;

  `DUT dut (
    .clk(clk), .rst(rst),
`ifdef TIMESTEPS
    .timesteps(`TIMESTEPS),
`endif
`ifdef SELFTEST
    .passed(),
`endif
    .s_axis_tdata(s_tdata), .s_axis_tvalid(s_tvalid), .s_axis_tready(s_tready),
    .s_axis_tlast(s_tlast),
    .m_axis_tdata(m_tdata), .m_axis_tvalid(m_tvalid), .m_axis_tready(m_tready),
    .m_axis_tlast(m_tlast), .m_axis_tuser(m_tuser));

  // The sender.
  integer packet, word, length;
  always @(*)
    case (packet % 3)
      0: length = `SAMPLE_WORDS;
      1: length = `SAMPLE_WORDS > 1 ? `SAMPLE_WORDS - 1 : 2;
      default: length = `SAMPLE_WORDS + 1;
    endcase
  always @(posedge clk)
    if (rst) begin
      s_tvalid <= 0;
      packet <= 0;
      word <= 0;
    end else if (!s_tvalid || s_tready) begin
      s_tvalid <= 0;
      if (packet < PACKETS && $urandom % 3 != 0) begin
        s_tvalid <= 1;
        s_tdata <= samples[packet / 3 * `SAMPLE_WORDS + word % `SAMPLE_WORDS];
        s_tlast <= word == length - 1;
        word <= word == length - 1 ? 0 : word + 1;
        packet <= word == length - 1 ? packet + 1 : packet;
      end
    end

  // The receiver. The last word of a result, the clocks that the sample took, may be any.
  integer answer, place, quiet;
  reg stalled;
  reg [33:0] offered;
  wire good = answer % 3 == 0;
  wire last = !good || place == `ANSWER_WORDS;
  always @(posedge clk) begin
    m_tready <= $urandom % 3 == 0;
    stalled <= !rst && m_tvalid && !m_tready;
    offered <= {m_tuser, m_tlast, m_tdata};
    quiet <= quiet + 1;
    if (rst) begin
      answer <= 0;
      place <= 0;
      quiet <= 0;
    end else begin
      if (stalled && (!m_tvalid || {m_tuser, m_tlast, m_tdata} != offered))
        $fatal(1, "answer %0d: a word was taken back", answer);
      if (m_tvalid && m_tready) begin
        if (m_tlast != last || m_tuser != !good
            || (!last && m_tdata != answers[answer / 3 * `ANSWER_WORDS + place]))
          $fatal(1, "answer %0d, word %0d: %h (last %b, user %b)", answer, place, m_tdata,
                 m_tlast, m_tuser);
        place <= last ? 0 : place + 1;
        answer <= last ? answer + 1 : answer;
        quiet <= 0;
      end
      if (answer == PACKETS) begin
        $display("passed: %0d samples", `SAMPLES);
        $finish;
      end
      if (quiet > `PATIENCE)
        $fatal(1, "answer %0d: nothing for %0d clocks", answer, quiet);
    end
  end
endmodule
