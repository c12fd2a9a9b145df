//! Floor 5: the verb.
