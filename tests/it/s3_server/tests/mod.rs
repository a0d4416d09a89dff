//! The server itself is tested: with `object_store`'s client, and with requests signed by hand where that client
//! cannot ask for what is to be shown.

mod access;
mod buckets;
mod client;
mod conditions;
mod faults;
mod multipart;
mod objects;
mod sums;
mod writers;
