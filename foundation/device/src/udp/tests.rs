//! Tests of the socket on loopback.
