//! C contestants: the shims in c/ (feature clibs) and shared objects named in PEERBENCH_PLUGINS.
use crate::contestant::*;
use std::ffi::{c_char, c_long, c_void, CStr, CString};

#[repr(C)]
struct PbHdr {
    name: *const c_char,
    value: *const c_char,
}
#[repr(C)]
struct PbReq {
    method: *const c_char,
    ruri: *const c_char,
    hdrs: *const PbHdr,
    nhdrs: usize,
    body: *const c_char,
    body_len: usize,
}
type Parse = Option<unsafe extern "C" fn(*const c_char, usize) -> c_long>;
#[repr(C)]
pub struct PbContestant {
    name: *const c_char,
    version: *const c_char,
    shallow: Parse,
    deep: Parse,
    build: Option<unsafe extern "C" fn(*const PbReq, *mut c_char, usize) -> c_long>,
    respond: Option<unsafe extern "C" fn(*const c_char, usize, *mut c_char, usize) -> c_long>,
    txn_client: Option<
        unsafe extern "C" fn(*const PbReq, *const c_char, usize, *mut c_char, usize) -> c_long,
    >,
    txn_server: Option<unsafe extern "C" fn(*const c_char, usize, *mut c_char, usize) -> c_long>,
}

/// C strings made once per ReqSpec address, so that the conversion is not timed.
struct CReq {
    key: usize,
    _s: Vec<CString>,
    _h: Vec<PbHdr>,
    req: PbReq,
}
struct C {
    p: &'static PbContestant,
    cache: Vec<CReq>,
}

impl C {
    fn req(&mut self, s: &ReqSpec) -> *const PbReq {
        let key = s as *const _ as usize;
        if let Some(i) = self.cache.iter().position(|c| c.key == key) {
            return &self.cache[i].req;
        }
        let mut st = vec![
            CString::new(s.method.as_str()).unwrap(),
            CString::new(s.ruri.as_str()).unwrap(),
        ];
        let mut h = vec![];
        for (n, v) in &s.headers {
            let (n, v) = (
                CString::new(n.as_str()).unwrap(),
                CString::new(v.as_str()).unwrap(),
            );
            h.push(PbHdr {
                name: n.as_ptr(),
                value: v.as_ptr(),
            });
            st.push(n);
            st.push(v);
        }
        let req = PbReq {
            method: st[0].as_ptr(),
            ruri: st[1].as_ptr(),
            hdrs: h.as_ptr(),
            nhdrs: h.len(),
            body: s.body.as_ptr().cast(),
            body_len: s.body.len(),
        };
        self.cache.push(CReq {
            key,
            _s: st,
            _h: h,
            req,
        });
        &self.cache.last().unwrap().req
    }
    fn out(out: &mut Vec<u8>, f: impl FnOnce(*mut c_char, usize) -> c_long) -> usize {
        let n = f(out.as_mut_ptr().cast(), out.capacity());
        if n <= 0 {
            return 0;
        }
        unsafe { out.set_len(n as usize) };
        n as usize
    }
}

impl Contestant for C {
    fn name(&self) -> &'static str {
        unsafe { CStr::from_ptr(self.p.name) }.to_str().unwrap()
    }
    fn version(&self) -> &'static str {
        unsafe { CStr::from_ptr(self.p.version) }.to_str().unwrap()
    }
    fn parse_shallow(&mut self, m: &[u8]) -> usize {
        match self.p.shallow {
            Some(f) => unsafe { f(m.as_ptr().cast(), m.len()) as usize },
            None => NA,
        }
    }
    fn parse_deep(&mut self, m: &[u8]) -> usize {
        match self.p.deep {
            Some(f) => unsafe { f(m.as_ptr().cast(), m.len()) as usize },
            None => NA,
        }
    }
    fn build(&mut self, s: &ReqSpec, out: &mut Vec<u8>) -> usize {
        let Some(f) = self.p.build else { return NA };
        let r = self.req(s);
        Self::out(out, |o, n| unsafe { f(r, o, n) })
    }
    fn respond_200(&mut self, m: &[u8], out: &mut Vec<u8>) -> usize {
        let Some(f) = self.p.respond else { return NA };
        Self::out(out, |o, n| unsafe { f(m.as_ptr().cast(), m.len(), o, n) })
    }
    fn txn_client(&mut self, s: &ReqSpec, resp: &[u8], out: &mut Vec<u8>) -> usize {
        let Some(f) = self.p.txn_client else {
            return NA;
        };
        let r = self.req(s);
        Self::out(out, |o, n| unsafe {
            f(r, resp.as_ptr().cast(), resp.len(), o, n)
        })
    }
    fn txn_server(&mut self, m: &[u8], out: &mut Vec<u8>) -> usize {
        let Some(f) = self.p.txn_server else {
            return NA;
        };
        Self::out(out, |o, n| unsafe { f(m.as_ptr().cast(), m.len(), o, n) })
    }
}

#[cfg(feature = "clibs")]
extern "C" {
    fn pb_osip2() -> *const PbContestant;
    fn pb_sofia() -> *const PbContestant;
    fn pb_libre() -> *const PbContestant;
    fn pb_belle() -> *const PbContestant;
}
#[cfg(feature = "clibs")]
pub fn builtin() -> Vec<Box<dyn Contestant>> {
    unsafe {
        [pb_osip2(), pb_sofia(), pb_libre(), pb_belle()]
            .into_iter()
            .map(|p| {
                Box::new(C {
                    p: &*p,
                    cache: vec![],
                }) as Box<dyn Contestant>
            })
            .collect()
    }
}
#[cfg(not(feature = "clibs"))]
pub fn builtin() -> Vec<Box<dyn Contestant>> {
    vec![]
}

pub fn plugins() -> Vec<Box<dyn Contestant>> {
    let mut v: Vec<Box<dyn Contestant>> = vec![];
    for path in std::env::var("PEERBENCH_PLUGINS")
        .unwrap_or_default()
        .split(':')
        .filter(|s| !s.is_empty())
    {
        let cp = CString::new(path).unwrap();
        unsafe {
            let h = libc::dlopen(cp.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL);
            if h.is_null() {
                eprintln!("{path}: {:?}", CStr::from_ptr(libc::dlerror()));
                continue;
            }
            let s: *mut c_void = libc::dlsym(h, c"pb_contestant".as_ptr());
            if s.is_null() {
                eprintln!("{path}: no pb_contestant");
                continue;
            }
            let f: unsafe extern "C" fn() -> *const PbContestant = std::mem::transmute(s);
            v.push(Box::new(C {
                p: &*f(),
                cache: vec![],
            }));
        }
    }
    v
}
