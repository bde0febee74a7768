-- Runs a network that Spiker+ generated: for each line of the stimuli file (the input spikes, held
-- for all steps), a line of results with the clocks from start to ready and the read-out's membranes.

library ieee;
use ieee.std_logic_1164.all;
use ieee.numeric_std.all;
use ieee.std_logic_textio.all;
use std.textio.all;

entity bench is
    generic (
        pixels : positive;
        membranes : positive
    );
end entity bench;

architecture behavior of bench is
    signal clk, rst_n, start, ready, sample : std_logic := '0';
    signal done : boolean := false;
    signal in_spikes : std_logic_vector(pixels - 1 downto 0) := (others => '0');
    signal v : signed(membranes - 1 downto 0);
begin

    clk <= not clk after 5 ns when not done;

    dut : entity work.network
        port map (
            clk => clk, rst_n => rst_n, start => start, sample_ready => '1', ready => ready,
            sample => sample, in_spikes => in_spikes, out_spikes => open, neuron_dp_none_v => v);

    process
        file stimuli : text open read_mode is "stimuli.txt";
        file results : text open write_mode is "results.txt";
        variable row : line;
        variable spikes : std_logic_vector(pixels - 1 downto 0);
        variable clocks : natural;
    begin
        rst_n <= '0';
        for k in 1 to 4 loop
            wait until rising_edge(clk);
        end loop;
        rst_n <= '1';
        while not endfile(stimuli) loop
            readline(stimuli, row);
            read(row, spikes);
            in_spikes <= spikes;
            wait until rising_edge(clk) and ready = '1';
            start <= '1';
            clocks := 0;
            loop
                wait until rising_edge(clk);
                clocks := clocks + 1;
                start <= '0';
                exit when clocks > 2 and ready = '1';
            end loop;
            write(row, clocks);
            write(row, ' ');
            write(row, std_logic_vector(v));
            writeline(results, row);
        end loop;
        done <= true;
        wait;
    end process;

end architecture behavior;
