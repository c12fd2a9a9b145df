//! Roof: the command line.
