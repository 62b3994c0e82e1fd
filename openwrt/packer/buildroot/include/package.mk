# BuildPackage, as far as it goes without compiling: writes what a Makefile says of a package to $(OUT)/NAME/FIELD, and
# its files to $(OUT)/NAME/root.


fields:=SECTION TITLE URL DEPENDS USERID PKGARCH VERSION LICENSE MAINTAINER PKG_NAME
scripts:=description conffiles postinst prerm postrm
# What OpenWrt has too and the packer knows nothing of.
unknown:=CONFLICTS PROVIDES REPLACES ALTERNATIVES ABI_VERSION EXTRA_DEPENDS VARIANT DEFAULT_VARIANT PKG_FLAGS FILE_MODES
unknown_scripts:=preinst install-overlay install_lib

# A variable's value, which need not be there.
given=$(if $(filter-out undefined,$(origin $(1))),$($(1)))

.DEFAULT_GOAL:=packages
.PHONY: packages

define Package/Default
  SECTION:=
  TITLE:=
  URL:=
  DEPENDS:=
  USERID:=
  PKGARCH:=$(ARCH_PACKAGES)
  VERSION:=$(PKG_VERSION)-r$(PKG_RELEASE)
  LICENSE:=$(PKG_LICENSE)
  MAINTAINER:=$(PKG_MAINTAINER)
endef

define BuildPackage
  $(eval $(Package/Default))
  $(eval $(Package/$(1)))
  $(foreach field,$(unknown),$(if $(call given,$(field)),$(error Package/$(1): the packer knows no $(field))))
  $(foreach field,$(unknown_scripts),$(if $(call given,Package/$(1)/$(field)),$(error Package/$(1): the packer knows no $(field))))
  $(foreach field,TITLE SECTION PKG_VERSION PKG_RELEASE,$(if $(call given,$(field)),,$(error Package/$(1): no $(field))))
  $(shell mkdir -p $(OUT)/$(1)/root)
  $(foreach field,$(fields),$(file >$(OUT)/$(1)/$(field),$($(field))))
  $(foreach field,$(scripts),$(if $(call given,Package/$(1)/$(field)),$(file >$(OUT)/$(1)/$(field),$(Package/$(1)/$(field)))))

  packages: $(1)
  .PHONY: $(1)
  $(1):
	$(call Package/$(1)/install,$(OUT)/$(1)/root)
endef
