//! What decides and computes, without files, sockets, clocks: the plan of a run, statistics, the model of the report and
//! how it looks.

pub mod figure;
pub mod growth;
pub mod html;
pub mod latency;
pub mod markdown;
pub mod payload;
pub mod plan;
pub mod report;
pub mod shape;
pub mod statistics;
pub mod table;
pub mod tool_output;
