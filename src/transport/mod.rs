//! Floor 2: HTTP that copes; knows no OCI.
