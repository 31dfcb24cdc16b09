//! `bench-hello`: the smallest ordinary program, which the bench holds against the reading actions.
#![expect(clippy::print_stdout, reason = "saying hello is its work")]

fn main() {
    println!("Hello, world!");
}
