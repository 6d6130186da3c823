package fixes

import (
	"encoding/json"
	"testing"

	"github.com/docker-gpu/docker-gpu/inspect"
)

// Requirement strings, those of public images among them, and what libnvidia-container's rules
// (src/cli/dsl.c) make of them on a data center and on a consumer GPU with driver 535.104.05.
func TestRequirements(t *testing.T) {
	tesla := RequireFacts{CUDA: "12.2", Driver: "535.104.05", Arch: "7.5", Brand: "Tesla"}
	nvidia := RequireFacts{CUDA: "12.2", Driver: "535.104.05", Arch: "9.0", Brand: "Nvidia"}
	geforce := RequireFacts{CUDA: "12.2", Driver: "535.104.05", Arch: "8.6", Brand: "GeForceRTX"}
	unknown := RequireFacts{}
	const cuda118 = "cuda>=11.8 brand=tesla,driver>=470,driver<471 brand=unknown,driver>=470,driver<471 brand=nvidia,driver>=470,driver<471 brand=nvidiartx,driver>=470,driver<471 brand=geforce,driver>=470,driver<471 brand=geforcertx,driver>=470,driver<471"
	const cuda122 = "cuda>=12.2 brand=tesla,driver>=470,driver<471 brand=unknown,driver>=470,driver<471 brand=nvidia,driver>=470,driver<471 brand=tesla,driver>=525,driver<526 brand=geforcertx,driver>=525,driver<526"
	const cuda130 = "cuda>=13.0 brand=unknown,driver>=535,driver<536 brand=grid,driver>=535,driver<536 brand=tesla,driver>=535,driver<536 brand=nvidia,driver>=535,driver<536 brand=quadro,driver>=535,driver<536 brand=unknown,driver>=550,driver<551"
	for _, c := range []struct {
		name, value string
		facts       RequireFacts
		want        Met
		invalid     bool
	}{
		{"empty", "", geforce, MetYes, false},
		{"only blanks", "   ", geforce, MetYes, false},
		{"only commas", ",,", geforce, MetYes, false},
		{"CUDA older", "cuda>=11.0", geforce, MetYes, false},
		{"CUDA equal", "cuda>=12.2", geforce, MetYes, false},
		{"CUDA newer", "cuda>=12.8", geforce, MetNo, false},
		{"CUDA newer minor than two digits", "cuda>=12.10", geforce, MetNo, false},
		{"CUDA with patch", "cuda>=12.2.1", geforce, MetNo, false},
		{"CUDA with zero patch", "cuda>=12.2.0", geforce, MetYes, false},
		{"CUDA alone", "cuda=12.2", geforce, MetYes, false},
		{"CUDA below", "cuda<12.3", geforce, MetYes, false},
		{"CUDA at most", "cuda<=12.2", geforce, MetYes, false},
		{"CUDA above", "cuda>12.2", geforce, MetNo, false},
		{"CUDA not", "cuda!=12.2", geforce, MetNo, false},
		{"lone exclamation mark is not equal", "cuda!12.2", geforce, MetNo, false},
		{"double equals", "cuda==12.2", geforce, MetNo, true},
		{"reversed operator", "cuda=>12.2", geforce, MetNo, true},
		{"nothing to compare with", "cuda>=", geforce, MetNo, true},
		{"no operator", "cuda", geforce, MetNo, true},
		{"no property", ">=12.2", geforce, MetNo, true},
		{"unknown property", "vendor=nvidia", geforce, MetNo, true},
		{"unknown property behind one that holds", "cuda>=12.2 vendor=nvidia", geforce, MetYes, false},
		{"unknown property in front", "vendor=nvidia cuda>=12.2", geforce, MetNo, true},
		{"unknown property behind a condition that fails", "cuda>=13.0,vendor=nvidia cuda>=12.2", geforce, MetYes, false},
		{"version with letters", "driver>=535.x", geforce, MetNo, true},
		{"property in capitals", "CUDA>=12.2", geforce, MetYes, false},
		{"driver of three parts", "driver>=535.104.05", geforce, MetYes, false},
		{"driver of three parts, newer", "driver>=535.104.06", geforce, MetNo, false},
		{"leading zero counts as a number", "driver=535.104.5", geforce, MetYes, false},
		{"driver branch", "driver>=535,driver<536", geforce, MetYes, false},
		{"driver branch before", "driver>=525,driver<526", geforce, MetNo, false},
		{"doubled dots", "driver>=535..104", geforce, MetYes, false},
		{"brand", "brand=geforcertx", geforce, MetYes, false},
		{"brand in capitals", "brand=GEFORCERTX", geforce, MetYes, false},
		{"other brand", "brand=tesla", geforce, MetNo, false},
		{"not a brand", "brand!=tesla", geforce, MetYes, false},
		{"brand with an order", "brand>=tesla", geforce, MetNo, true},
		{"architecture", "arch>=7.0", tesla, MetYes, false},
		{"architecture newer", "arch>=8.0", tesla, MetNo, false},
		{"all of a group", "arch>=8.0,brand=geforcertx,cuda>=12.0", geforce, MetYes, false},
		{"one of a group fails", "arch>=8.0,brand=tesla,cuda>=12.0", geforce, MetNo, false},
		{"nvidia/cuda 11.8 on GeForce", cuda118, geforce, MetYes, false},
		{"nvidia/cuda 12.2 on GeForce", cuda122, geforce, MetYes, false},
		{"nvidia/cuda 13.0 on GeForce", cuda130, geforce, MetNo, false},
		{"nvidia/cuda 13.0 on Tesla", cuda130, tesla, MetYes, false},
		{"nvidia/cuda 13.0 on H100", cuda130, nvidia, MetYes, false},
		{"Triton 21.05", "cuda>=11.2 brand=tesla,driver>=418,driver<419 brand=tesla,driver>=440,driver<441 driver>=450", geforce, MetYes, false},
		{"CUDA 11.2 with an upper end", "cuda>=11.2 brand=tesla,driver>=418,driver<419 driver>=450,driver<451", geforce, MetYes, false},
		{"a driver as alternative", "cuda>=12.9 driver>=530", geforce, MetYes, false},
		{"a patch version as CUDA image authors write it", "cuda>=12.1.1 driver>=530", geforce, MetYes, false},
		{"nothing known", "cuda>=12.8", unknown, MetUnknown, false},
		{"brand unknown, order refused where known only", "brand=tesla,driver>=470", unknown, MetUnknown, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := EvaluateRequirement("NVIDIA_REQUIRE_CUDA", c.value, c.facts)
			if got.Satisfied != c.want || (got.Invalid != "") != c.invalid {
				t.Errorf("%q: satisfied %v, invalid %q", c.value, got.Satisfied, got.Invalid)
			}
		})
	}
}

// All variables must hold; Jetpack's does not count; a legacy image demands its CUDA_VERSION; the
// off-switch skips all.
func TestRequirementsOfImages(t *testing.T) {
	facts := RequireFacts{CUDA: "12.2", Driver: "535.104.05"}
	for _, c := range []struct {
		name  string
		image inspect.Image
		want  string
	}{
		{"none", inspect.Image{}, ""},
		{"two", inspect.Image{Require: map[string]string{"NVIDIA_REQUIRE_DRIVER": "driver>=550", "NVIDIA_REQUIRE_CUDA": "cuda>=12.0"}}, "NVIDIA_REQUIRE_CUDA true, NVIDIA_REQUIRE_DRIVER false"},
		{"jetpack", inspect.Image{Require: map[string]string{"NVIDIA_REQUIRE_JETPACK_HOST_MOUNTS": "base-only"}}, ""},
		{"legacy", inspect.Image{Legacy: true, CUDAVersion: "12.4.1"}, "CUDA_VERSION false"},
		{"legacy with a strange version", inspect.Image{Legacy: true, CUDAVersion: "edge"}, ""},
		{"switched off", inspect.Image{DisableRequire: true, Require: map[string]string{"NVIDIA_REQUIRE_CUDA": "cuda>=13.0"}}, ""},
	} {
		got := ""
		for _, r := range Requirements(&c.image, facts) {
			text, err := json.Marshal(r.Satisfied)
			if err != nil {
				t.Fatal(err)
			}
			if got != "" {
				got += ", "
			}
			got += r.Variable + " " + string(text)
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func FuzzEvaluateRequirement(f *testing.F) {
	f.Add("cuda>=12.2 brand=tesla,driver>=470,driver<471", "535.104.05")
	f.Add("cuda!12.2 ,, =<>", "x")
	f.Fuzz(func(t *testing.T, value, driver string) {
		r := EvaluateRequirement("NVIDIA_REQUIRE_X", value, RequireFacts{CUDA: "12.2", Driver: driver, Arch: "8.6", Brand: "Tesla"})
		if r.Invalid != "" && r.Satisfied != MetNo {
			t.Errorf("%q is invalid and yet satisfied", value)
		}
	})
}

func TestCUDATables(t *testing.T) {
	for _, c := range []struct{ driver, want string }{{"535.104.05", "12.2"}, {"570.86.15", "12.8"}, {"580.65.06", "13.0"}, {"470.223.02", "11.4"}, {"340.108", ""}, {"", ""}} {
		if got := CUDAOfDriver(c.driver); got != c.want {
			t.Errorf("driver %s: CUDA %q, want %q", c.driver, got, c.want)
		}
	}
	for _, c := range []struct{ cuda, arch, want string }{
		{"12.4", "12.0", "too-new"}, {"12.8", "12.0", ""}, {"11.7", "9.0", "too-new"}, {"11.8", "9.0", ""}, {"11.0", "8.6", ""}, {"11.0", "8.9", ""},
		{"13.0", "7.0", "too-old"}, {"13.0", "7.5", ""}, {"12.9", "6.1", ""}, {"12.0", "3.7", "too-old"}, {"11.4", "3.7", ""}, {"11.4", "3.0", "too-old"}, {"", "8.6", ""}, {"12.2", "", ""},
	} {
		if got := archOutside(c.cuda, c.arch); got != c.want {
			t.Errorf("CUDA %s on %s: %q, want %q", c.cuda, c.arch, got, c.want)
		}
	}
	if !MinorCompatible("12.8", "535.104.05") || MinorCompatible("13.0", "535.104.05") || MinorCompatible("12.8", "") {
		t.Error("minor-version compatibility")
	}
}
