# What OpenWrt's rust-package.mk gives to a Makefile. The program is compiled by cross/build.sh.
RUST_ARCH_DEPENDS:=@(aarch64||arm||mips||mipsel||x86_64)
define RustBinPackage
endef
