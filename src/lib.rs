//! keyfold
