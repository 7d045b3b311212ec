//! The procedures of OMA SIMPLE IM.
//!
//! One file for each family of clauses. What is here decides; it sends nothing and keeps no time.

pub mod imdn;
