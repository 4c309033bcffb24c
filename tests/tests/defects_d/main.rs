//! One module for each defect of event routing that is known of the analysed system: there it happens, here
//! it must not.

mod d11_counted_errors;
mod d13_what_is_accepted;
mod d16_six_errors;
mod d17_update;
mod d18_spill;
mod d1_leases;
mod d2_one_step;
mod d3_weights;
mod d4_key_shares;
mod d5_probe;
mod failing;
