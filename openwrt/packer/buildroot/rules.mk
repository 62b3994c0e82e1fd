# As much of OpenWrt's rules.mk as the feed's Makefiles use: not CP, since the modes of what it copies depend on who checked
# it out. `pack` sets TOPDIR, ARCH_PACKAGES, PROGRAMS and OUT.
INCLUDE_DIR:=$(TOPDIR)/include
ARCH:=$(ARCH_PACKAGES)

INSTALL_DIR:=install -d -m0755
INSTALL_BIN:=install -m0755
INSTALL_DATA:=install -m0644
INSTALL_CONF:=install -m0600

# Where the compiled program would have been installed, and is.
PKG_INSTALL_DIR:=$(PROGRAMS)
