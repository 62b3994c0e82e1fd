# The version of all packages of this feed: that of the program.
PKG_VERSION:=$(shell sed -n 's/^version = "\(.*\)"$$/\1/p' ../../Cargo.toml)
