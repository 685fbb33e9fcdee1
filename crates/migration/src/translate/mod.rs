//! Frames of one dialect as frames of another, with their losses.
