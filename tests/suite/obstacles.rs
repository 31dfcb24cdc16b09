//! What is in a change's way on the host, and what others do to objects of ours: nobody is locked out by it, and nobody
//! loses what is theirs.

mod devices;
mod routes;
mod stuck;
