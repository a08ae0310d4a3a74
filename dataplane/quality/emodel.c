/* SPDX-License-Identifier: BSD-3-Clause */
#include "emodel.h"

#include <math.h>

/* G.107 table 2: default values of what is not measured here. */
#define SLR   8.0   /* send loudness rating, dB */
#define RLR   2.0   /* receive loudness rating, dB */
#define STMR  15.0  /* sidetone masking rating, dB */
#define DS    3.0   /* D-values of the telephones */
#define DR    3.0
#define TELR  65.0  /* talker echo loudness rating, dB */
#define WEPL  110.0 /* weighted echo path loss, dB */
#define QDU   1.0   /* quantising distortion units */
#define NC    -70.0 /* circuit noise, dBm0p */
#define NFOR  -64.0 /* noise floor at the receiving side, dBmp */
#define PS    35.0  /* room noise, dB(A) */
#define PR    35.0
#define OLR   (SLR + RLR)
#define LSTR  (STMR + DR)

static double power(double db)
{
	return pow(10, db / 10);
}

/* s7.2: all noise at the 0 dBr point, dBm0p. */
static double noise(void)
{
	double nos = PS - SLR - DS - 100 + 0.004 * pow(PS - OLR - DS - 14, 2);
	double pre = PR + 10 * log10(1 + pow(10, (10 - LSTR) / 10));
	double nor = RLR - 121 + pre + 0.008 * pow(pre - 35, 2);
	double nfo = NFOR + RLR;

	return 10 * log10(power(NC) + power(nos) + power(nor) + power(nfo));
}

/* s7.2: basic signal-to-noise ratio. */
static double ro(void)
{
	return 15 - 1.5 * (SLR + noise());
}

/* s7.3: what comes with the voice: too loud, sidetone, quantising. T is the echo path's one-way delay, ms. */
static double is(double t)
{
	double xolr = OLR + 0.2 * (64 + noise() - RLR);
	double iolr = 20 * (pow(1 + pow(xolr / 8, 8), 1.0 / 8) - xolr / 8);
	double stmro = -10 * log10(pow(10, -STMR / 10) + exp(-t / 4) * pow(10, -TELR / 10));
	double ist = 12 * pow(1 + pow((stmro - 13) / 6, 8), 1.0 / 8) - 28 * pow(1 + pow((stmro + 1) / 19.4, 35), 1.0 / 35) -
		     13 * pow(1 + pow((stmro - 3) / 33, 13), 1.0 / 13) + 29;
	double q = 37 - 15 * log10(QDU), g = 1.07 + 0.258 * q + 0.0602 * q * q;
	double y = (ro() - 100) / 15 + 46 / 8.4 - g / 9, z = 46 / 30.0 - g / 40;
	double iq = 15 * log10(1 + pow(10, y) + pow(10, z));

	return iolr + ist + iq;
}

/* s7.4: delay: talker echo, listener echo, too long whatever the echo. T = Ta and Tr = 2 Ta. */
static double id(double ta)
{
	double t = ta, tr = 2 * ta, idte = 0, idle, idd = 0;
	double roe = -1.5 * (noise() - RLR), rle = 10.5 * (WEPL + 7) * pow(tr + 1, -0.25);

	if (t >= 1) { /* below a millisecond an echo is sidetone */
		double terv = TELR - 40 * log10((1 + t / 10) / (1 + t / 150)) + 6 * exp(-0.3 * t * t);
		double re = 80 + 2.5 * (terv - 14), d = roe - re;

		idte = (d / 2 + sqrt(d * d / 4 + 100) - 1) * (1 - exp(-t));
	}
	idle = (ro() - rle) / 2 + sqrt(pow(ro() - rle, 2) / 4 + 169);
	if (ta > 100) {
		double x = log2(ta / 100);

		idd = 25 * (pow(1 + pow(x, 6), 1.0 / 6) - 3 * pow(1 + pow(x / 3, 6), 1.0 / 6) + 2);
	}
	return idte + idle + idd;
}

/*
 * G.113 appendix I: Ie and Bpl. G.711 with packet loss concealment (G.711 appendix I), as telephones have it (4.3 without);
 * G.729A with silence suppression.
 */
static const struct {
	double ie, bpl, look_ms;
} codecs[DP_CODEC_MAX] = {
	[DP_CODEC_G711] = {0, 25.1, 0},
	[DP_CODEC_G729] = {11, 19.0, 5},
};

bool dp_emodel_has(enum dp_codec codec)
{
	return (unsigned)codec < DP_CODEC_MAX && codecs[codec].bpl > 0;
}

double dp_emodel_ie_eff(enum dp_codec codec, double loss_percent)
{
	double ie = codecs[codec].ie;

	return ie + (95 - ie) * loss_percent / (loss_percent + codecs[codec].bpl);
}

double dp_emodel_r_of(double ie_eff, double ta_ms)
{
	double r = ro() - is(ta_ms) - id(ta_ms) - ie_eff;

	return r < 0 ? 0 : r > 100 ? 100 : r;
}

double dp_emodel_codec_ms(const struct dp_emodel_in *in)
{
	double ptime = in->ptime_ms != 0 ? in->ptime_ms : 20, buffer = 2 * in->jitter_ms;

	/* A buffer holds one packet at least: without it every late one is a lost one. */
	return ptime + codecs[in->codec].look_ms + (buffer > ptime ? buffer : ptime);
}

double dp_emodel_r(const struct dp_emodel_in *in)
{
	double loss = in->loss < 0 ? 0 : in->loss > 1 ? 1 : in->loss;

	return dp_emodel_r_of(dp_emodel_ie_eff(in->codec, loss * 100), in->network_ms + dp_emodel_codec_ms(in));
}

double dp_emodel_mos(double r)
{
	double mos;

	if (r <= 0)
		return 1;
	if (r >= 100)
		return 4.5;
	mos = 1 + 0.035 * r + r * (r - 60) * (100 - r) * 7e-6;
	return mos < 1 ? 1 : mos; /* the polynomial dips below for R under 6.5 */
}
