//! Tests of the decisions of a broker.
