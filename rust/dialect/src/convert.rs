//! Between an answer and its stream: a stored answer replayed as events, and events gathered into an answer.
