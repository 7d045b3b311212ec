use crate::contestant::Contestant;
mod cabi;
pub mod oracle;
mod ours;
#[cfg(feature = "peers")]
mod rust_ezk;
#[cfg(feature = "heavy")]
mod rust_rcs;
#[cfg(feature = "peers")]
mod rust_rsip;
#[cfg(feature = "heavy")]
mod rust_rsiprtp;
#[cfg(feature = "heavy")]
mod rust_rvoip;
#[cfg(feature = "peers")]
mod rust_sipx;
#[cfg(feature = "peers")]
mod rust_small;

pub fn all() -> Vec<Box<dyn Contestant>> {
    let mut v: Vec<Box<dyn Contestant>> = vec![
        // reference limits
        Box::new(oracle::Memcpy(Vec::with_capacity(8192))),
        Box::new(oracle::LineScan),
        Box::new(oracle::Httparse),
        Box::new(oracle::Oracle),
        Box::new(ours::Ours::new()),
    ];
    #[cfg(feature = "peers")]
    v.extend::<Vec<Box<dyn Contestant>>>(vec![
        Box::new(rust_small::Parsip),
        Box::new(rust_small::Sipmsg),
        Box::new(rust_small::Xylosip),
        Box::new(rust_small::SipCore),
        Box::new(rust_rsip::Rsip),
        Box::new(rust_rsip::Rsipstack),
        Box::new(rust_ezk::Ezk),
        #[cfg(feature = "heavy")]
        Box::new(rust_rvoip::Rvoip),
        #[cfg(feature = "heavy")]
        Box::new(rust_rsiprtp::Rsiprtp::new()),
        Box::new(rust_sipx::Sipx::new()),
        #[cfg(feature = "heavy")]
        Box::new(rust_rcs::Rcs),
    ]);
    v.extend(cabi::builtin());
    v.extend(cabi::plugins());
    v
}
