//! Floor 3: who we are.
