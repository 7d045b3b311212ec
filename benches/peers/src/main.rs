mod contestant;
mod own;
mod peers;
use contestant::*;
use std::hint::black_box;
use std::time::Instant;

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct PbAlloc {
    calls: u64,
    bytes: u64,
    frees: u64,
    live: i64,
    peak: i64,
}
extern "C" {
    static mut pb_alloc: PbAlloc;
    static mut pb_alloc_on: i32;
    fn pb_in_valgrind() -> i32;
    fn pb_cg_zero();
    fn pb_cg_dump(s: *const libc::c_char);
}

const MSGS: [&str; 6] = [
    "options",
    "message",
    "invite_msrp",
    "notify_conf",
    "ok_rr",
    "ims_invite",
];
fn load(n: &str) -> Vec<u8> {
    let dir = std::env::var("PEERBENCH_MSGS").unwrap_or_else(|_| "msgs".into());
    std::fs::read(format!("{dir}/{n}.sip")).unwrap_or_else(|e| panic!("{dir}/{n}.sip: {e}"))
}

struct Row {
    op: String,
    msg: &'static str,
    len: usize,
    ret: usize,
    ns: f64,
    ns_min: f64,
    allocs: u64,
    bytes: u64,
    peak: i64,
    outlen: usize,
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let only = args
        .iter()
        .find_map(|a| a.strip_prefix("--only="))
        .map(|s| s.split(',').map(String::from).collect::<Vec<_>>());
    let ops_only = args
        .iter()
        .find_map(|a| a.strip_prefix("--ops="))
        .map(|s| s.split(',').map(String::from).collect::<Vec<_>>());
    let check = args.iter().any(|a| a == "--check");
    let vg = unsafe { pb_in_valgrind() } != 0;
    let msgs: Vec<(&'static str, Vec<u8>)> = MSGS.iter().map(|n| (*n, load(n))).collect();
    let ok_message = load("ok_message");
    let spec_m = ReqSpec::from_wire(&msgs[1].1);
    let spec_i = ReqSpec::from_wire(&msgs[2].1);
    let mut oracle = peers::oracle::Oracle;
    let want: Vec<usize> = msgs.iter().map(|m| oracle.parse_deep(&m.1)).collect();
    std::panic::set_hook(Box::new(|_| {}));
    if args.iter().any(|a| a == "--diagnose") {
        diagnose(&msgs);
        return;
    }
    if args.iter().any(|a| a == "--growth") {
        growth();
        return;
    }
    println!("contestant\tversion\top\tmsg\tbytes\tresult\tns_median\tns_min\tMB_s\tallocs\talloc_bytes\tpeak_heap\tout_bytes");
    for mut c in peers::all() {
        if let Some(o) = &only {
            if !o.iter().any(|n| n == c.name()) {
                continue;
            }
        }
        let (cname, cver) = (c.name(), c.version());
        for op in [
            "shallow",
            "deep",
            "build",
            "respond_200",
            "txn_client",
            "txn_server",
        ] {
            if let Some(o) = &ops_only {
                if !o.iter().any(|n| n == op) {
                    continue;
                }
            }
            for (i, (mname, m)) in msgs.iter().enumerate() {
                let run = match (op, *mname) {
                    ("shallow" | "deep", _) => true,
                    ("build", "message" | "invite_msrp") => true,
                    ("respond_200", "message" | "invite_msrp") => true,
                    ("txn_client" | "txn_server", "message") => true,
                    _ => false,
                };
                if !run {
                    continue;
                }
                let spec = if i == 1 { &spec_m } else { &spec_i };
                let mut out: Vec<u8> = Vec::with_capacity(8192);
                let mut f = |out: &mut Vec<u8>| -> usize {
                    out.clear();
                    match op {
                        "shallow" => c.parse_shallow(black_box(m)),
                        "deep" => c.parse_deep(black_box(m)),
                        "build" => c.build(black_box(spec), out),
                        "respond_200" => c.respond_200(black_box(m), out),
                        "txn_client" => c.txn_client(black_box(spec), black_box(&ok_message), out),
                        _ => c.txn_server(black_box(m), out),
                    }
                };
                let ret =
                    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| f(&mut out))) {
                        Ok(r) => r,
                        Err(_) => {
                            println!(
                                "{}\t{}\t{op}\t{mname}\t{}\tPANIC\t\t\t\t\t\t\t",
                                cname,
                                cver,
                                m.len()
                            );
                            continue;
                        }
                    };
                if ret == NA {
                    continue;
                }
                let mut row = Row {
                    op: op.into(),
                    msg: mname,
                    len: m.len(),
                    ret,
                    ns: 0.0,
                    ns_min: 0.0,
                    allocs: 0,
                    bytes: 0,
                    peak: 0,
                    outlen: out.len(),
                };
                let verdict = if ret == 0 {
                    "REJECT".to_string()
                } else if op == "deep" {
                    if ret == want[i] {
                        "ok".into()
                    } else {
                        format!("differs({} vs {})", ret, want[i])
                    }
                } else if op == "shallow" {
                    format!("{} fields", ret)
                } else {
                    let ck = if out.is_empty() {
                        0
                    } else {
                        oracle.parse_deep(&out)
                    };
                    format!("out-check={ck}")
                };
                if check && !out.is_empty() {
                    eprintln!(
                        "--- {} {op} {mname}\n{}",
                        cname,
                        String::from_utf8_lossy(&out)
                    );
                }
                for _ in 0..20 {
                    black_box(f(&mut out));
                }
                unsafe {
                    pb_alloc = PbAlloc::default();
                    pb_alloc_on = 1;
                    let mut peak = 0;
                    for _ in 0..10 {
                        pb_alloc.live = 0;
                        pb_alloc.peak = 0;
                        black_box(f(&mut out));
                        peak = peak.max(pb_alloc.peak);
                    }
                    pb_alloc_on = 0;
                    row.allocs = (pb_alloc.calls + 5) / 10;
                    row.bytes = pb_alloc.bytes / 10;
                    row.peak = peak; // 10 runs; peak of one
                }
                if vg {
                    let tag = std::ffi::CString::new(format!("{}|{op}|{mname}", cname)).unwrap();
                    unsafe {
                        pb_cg_zero();
                    }
                    for _ in 0..20 {
                        black_box(f(&mut out));
                    }
                    unsafe {
                        pb_cg_dump(tag.as_ptr());
                    }
                } else if !check {
                    let t = Instant::now();
                    let mut n = 0u64;
                    while t.elapsed().as_micros() < 2000 {
                        black_box(f(&mut out));
                        n += 1;
                    }
                    let iters = (n / 2).max(1);
                    let mut v: Vec<f64> = (0..61)
                        .map(|_| {
                            let t = Instant::now();
                            for _ in 0..iters {
                                black_box(f(&mut out));
                            }
                            t.elapsed().as_nanos() as f64 / iters as f64
                        })
                        .collect();
                    v.sort_by(|a, b| a.partial_cmp(b).unwrap());
                    row.ns = v[v.len() / 2];
                    row.ns_min = v[0];
                }
                println!(
                    "{}\t{}\t{}\t{}\t{}\t{}\t{:.0}\t{:.0}\t{:.1}\t{}\t{}\t{}\t{}",
                    cname,
                    cver,
                    row.op,
                    row.msg,
                    row.len,
                    verdict,
                    row.ns,
                    row.ns_min,
                    if row.ns > 0.0 {
                        row.len as f64 * 1000.0 / row.ns
                    } else {
                        0.0
                    },
                    row.allocs,
                    row.bytes,
                    row.peak,
                    row.outlen
                );
                let _ = row.ret;
            }
        }
    }
    if only
        .as_ref()
        .is_none_or(|only| only.iter().any(|name| name == "oma-im"))
        && ops_only.is_none()
    {
        own(&msgs[1].1);
    }
}

/// The hot paths of this crate that no peer has, in rows like those of the contestants.
fn own(message: &[u8]) {
    for mut path in own::paths(message) {
        let tag = format!("oma-im|{}|{}", path.op, path.case);
        let right = path.run.as_mut()();
        let allocs = counted(&tag, 20, &mut path.run);
        let verdict = if right { "ok" } else { "REJECT" };
        println!(
            "oma-im\t{}\t{}\t{}\t\t{verdict}\t\t\t\t{allocs}\t\t\t",
            env!("CARGO_PKG_VERSION"),
            path.op,
            path.case
        );
    }
}

/// Parsers on three sizes of an input: instructions are counted once for each.
fn growth() {
    for (family, len, mut run) in own::growth() {
        let right = run();
        counted(&format!("growth|{family}|{len}"), 1, &mut run);
        println!("{family}\t{len}\t{}", if right { "ok" } else { "REJECT" });
    }
}

/// Runs `times` under the counter of instructions, if there is one; gives the heap calls.
fn counted(tag: &str, times: usize, run: &mut dyn FnMut() -> bool) -> u64 {
    let tag = std::ffi::CString::new(tag).unwrap();
    unsafe {
        pb_alloc = PbAlloc::default();
        pb_alloc_on = 1;
        pb_cg_zero();
        for _ in 0..times {
            black_box(run());
        }
        pb_cg_dump(tag.as_ptr());
        pb_alloc_on = 0;
        pb_alloc.calls
    }
}

/// Which start lines and header lines of the inputs make a contestant reject a minimal message.
fn diagnose(msgs: &[(&'static str, Vec<u8>)]) {
    let base = [
        "Via: SIP/2.0/UDP h.example.com:5060;branch=z9hG4bKx",
        "Max-Forwards: 70",
        "From: <sip:a@example.com>;tag=1",
        "To: <sip:b@example.com>",
        "Call-ID: x@h",
        "CSeq: 1 INVITE",
        "Contact: <sip:a@h.example.com:5060>",
        "Content-Length: 0",
    ];
    for mut c in peers::all() {
        let cn = c.name();
        for op in ["shallow", "deep"] {
            let mut seen = std::collections::BTreeSet::new();
            let mut t = |start: &str, hs: &[&str]| -> bool {
                let m = format!("{start}\r\n{}\r\n\r\n", hs.join("\r\n"));
                let r = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                    if op == "deep" {
                        c.parse_deep(m.as_bytes())
                    } else {
                        c.parse_shallow(m.as_bytes())
                    }
                }))
                .unwrap_or(0);
                r != 0
            };
            let s0 = "INVITE sip:b@example.com SIP/2.0";
            if !t(s0, &base) {
                seen.insert("BASE".to_string());
            }
            for (_, m) in msgs {
                let e = m.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
                let txt = String::from_utf8_lossy(&m[..e]).into_owned();
                let mut l = txt.split("\r\n");
                let st = l.next().unwrap();
                if !t(st, &base) {
                    seen.insert(format!("START {st}"));
                }
                for h in l {
                    if h.starts_with("Content-Length") {
                        continue;
                    }
                    let name = h.split(':').next().unwrap();
                    let mut hs: Vec<&str> = base
                        .iter()
                        .copied()
                        .filter(|b| b.split(':').next() != Some(name))
                        .collect();
                    hs.insert(0, h);
                    if !t(s0, &hs) {
                        seen.insert(h.to_string());
                    }
                }
            }
            for x in seen {
                println!("{}\t{op}\t{x}", cn);
            }
        }
    }
}
