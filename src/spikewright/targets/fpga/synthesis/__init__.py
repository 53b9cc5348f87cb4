"""What an accelerator takes on a chip, by Yosys and nextpnr, and what that makes of it."""
