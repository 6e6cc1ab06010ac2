//! The reference tools on real machines, servers and browsers, as people use them.

mod cmdb_tool;
mod console_page;
mod lab;
mod support;
mod tools;
