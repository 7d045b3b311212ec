fn main() {
    let clibs = std::env::var_os("CARGO_FEATURE_CLIBS").is_some();
    let mut b = cc::Build::new();
    b.opt_level(2)
        .warnings(false)
        .file("c/alloc_count.c")
        .flag("-fno-builtin");
    b.compile("pballoc");
    println!("cargo:rerun-if-changed=c");
    if clibs {
        let mut c = cc::Build::new();
        c.opt_level(2).warnings(false).include("c");
        for (pkg, file) in [
            ("libosip2", "c/osip2.c"),
            ("sofia-sip-ua", "c/sofia.c"),
            ("libre", "c/libre.c"),
            ("belle-sip", "c/belle.c"),
        ] {
            let lib = pkg_config::Config::new()
                .cargo_metadata(false)
                .probe(pkg)
                .expect(pkg);
            for i in &lib.include_paths {
                c.include(i);
            }
            c.file(file);
        }
        c.compile("pbshims");
        for pkg in ["libosip2", "sofia-sip-ua", "libre", "belle-sip"] {
            pkg_config::probe_library(pkg).unwrap();
        }
        println!("cargo:rustc-link-lib=bctoolbox");
    }
}
